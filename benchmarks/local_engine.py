"""Our training engine against TRL's `SFTTrainer`: the same tiny Phi-3, data, seed and order, interleaved in one run.

Run `python benchmarks/local_engine.py` (needs `pip install trl`). It prints real tokens per CPU second, where padding
does not count, and the loss each engine reaches, as the Markdown table of benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import math
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from transformers import Trainer, TrainingArguments
from trl import SFTConfig, SFTTrainer

from azft import DatasetPreparer
from azft.engine.adapters import PHI3_TARGETS
from azft.engine.collate import Packed, PackedRows, Padded, micro_batch
from azft.engine.loading import quiet
from azft.engine.rows import Rows
from azft.engine.tokens import ChatTokenizer
from azft.stages.standin import build_model, build_tokenizer

BATCH = 16
CAPACITY = 2048
CHARACTERS_PER_TOKEN = 3
SEED = 42


def conversations(tokens: int, mean_turns: float) -> list[list[dict[str, str]]]:
    """Return conversations of the shipped sample's turns, of about `tokens` tokens in all.

    The number of joined rows is log-normal around `mean_turns` (sigma 0.6), as lengths of real chats are; 1 leaves
    the rows as they are.
    """
    data = DatasetPreparer(tempfile.mkdtemp()).prepare("ultrachat_sample")
    rows = [orjson.loads(line)["messages"] for line in data.train.path.read_bytes().splitlines()]
    source = random.Random(SEED)
    made, characters = [], 0
    while characters < tokens * CHARACTERS_PER_TOKEN:
        joined = 1 if mean_turns == 1 else max(1, round(source.lognormvariate(math.log(mean_turns), 0.6)))
        made.append([turn for row in rows[:joined] for turn in row])
        characters += sum(len(turn["content"]) for turn in made[-1])
        rows = rows[joined:] + rows[:joined]
    return made


def settings(folder: str, **more: Any) -> dict[str, Any]:
    """Return what every engine is given."""
    return {
        "output_dir": folder,
        "num_train_epochs": 1,
        "learning_rate": 5e-3,
        "lr_scheduler_type": "cosine",
        "logging_strategy": "no",
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "use_cpu": True,
        "dataloader_pin_memory": False,
        "seed": SEED,
        **more,
    }


def lora() -> LoraConfig:
    """Return the adapters every engine trains."""
    return LoraConfig(r=16, lora_alpha=32, lora_dropout=0.0, target_modules=list(PHI3_TARGETS), task_type="CAUSAL_LM")


class Bench:
    """The engines on one set of conversations."""

    def __init__(self, chats: list[list[dict[str, str]]]) -> None:
        self.tokenizer = build_tokenizer(turn["content"] for chat in chats for turn in chat)
        reads = ChatTokenizer(self.tokenizer)
        self.rows = Rows.of([reads.encode({"messages": chat}, CAPACITY) for chat in chats])
        self.tokens = len(self.rows.ids)
        # TRL gets the very same token ids and learned spans, so that only the engines differ.
        masks = [[int(label >= 0) for label in self.rows[i]["labels"]] for i in range(len(self.rows))]
        ids = [self.rows[i]["input_ids"] for i in range(len(self.rows))]
        self.table = Dataset.from_dict({"input_ids": ids, "completion_mask": masks})

    def model(self) -> Any:
        """Return the same fresh network with the same fresh adapters every time."""
        network = build_model(self.tokenizer, SEED)
        network.config.use_cache = False
        torch.manual_seed(SEED)
        return get_peft_model(network, lora())

    def spread(self) -> str:
        """Return how uneven the conversations are, and how much of TRL's padded batches is padding."""
        lengths = self.rows.lengths
        batches = [lengths[begin : begin + BATCH] for begin in range(0, len(lengths), BATCH)]
        padded = sum(max(batch) * len(batch) for batch in batches)
        waste = 1 - self.tokens / padded
        return f"median {statistics.median(lengths):,.0f} tokens, longest {max(lengths):,}, {waste:.0%} padding"

    def ours(self, folder: str, *, packed: bool) -> float:
        """Train with azft's collators and micro-batches; return the mean loss of the run."""
        micro = micro_batch(BATCH, self.tokens / len(self.rows))
        rows: Any = PackedRows(self.rows, CAPACITY) if packed else self.rows
        batch = (
            {"per_device_train_batch_size": 1}
            if packed
            else {
                "per_device_train_batch_size": micro,
                "gradient_accumulation_steps": BATCH // micro,
            }
        )
        trainer = Trainer(
            model=self.model(),
            args=TrainingArguments(**settings(folder, remove_unused_columns=False, **batch)),
            data_collator=Packed(self.tokenizer.pad_token_id or 0)
            if packed
            else Padded(self.tokenizer.pad_token_id or 0),
            train_dataset=rows,
        )
        return float(trainer.train().training_loss)

    def trl(self, folder: str, *, packed: bool) -> float:
        """Train with TRL: its default padded batches, or its packing."""
        more: dict[str, Any] = (
            {"packing": True, "per_device_train_batch_size": 1, "padding_free": True}
            if packed
            else {"per_device_train_batch_size": BATCH}
        )
        trainer = SFTTrainer(
            model=self.model(),
            args=SFTConfig(
                **settings(
                    folder,
                    max_length=CAPACITY,
                    gradient_checkpointing=False,
                    completion_only_loss=True,
                    bf16=False,
                    **more,
                ),
            ),
            train_dataset=self.table,
            processing_class=self.tokenizer,
        )
        return float(trainer.train().training_loss)


def measure(bench: Bench, rounds: int) -> dict[str, tuple[list[float], list[float]]]:
    """Run every engine in turn, `rounds` times, and return tokens per CPU second and losses."""
    engines: dict[str, Callable[[str], float]] = {
        "azft": lambda folder: bench.ours(folder, packed=False),
        "TRL, padded (its default)": lambda folder: bench.trl(folder, packed=False),
        "azft, packed": lambda folder: bench.ours(folder, packed=True),
        "TRL, packed": lambda folder: bench.trl(folder, packed=True),
    }
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in engines}
    for _round in range(rounds):
        for name, train in engines.items():
            with tempfile.TemporaryDirectory() as folder:
                began = time.process_time()
                loss = train(folder)
                found[name][0].append(bench.tokens / (time.process_time() - began))
                found[name][1].append(loss)
    return found


def main() -> None:
    """Measure even and uneven conversations, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=40_000)
    arguments = parser.parse_args()
    quiet()
    cpu = next((line.partition(":")[2].strip() for line in cpu_lines() if line.startswith("model name")), "unknown CPU")
    print(f"{cpu}, {torch.get_num_threads()} threads, {platform.system()}, torch {torch.__version__}\n")
    cases = (("long, uneven conversations", 18.0), ("short, even conversations", 1.0))
    for title, mean_turns in cases:
        bench = Bench(conversations(arguments.tokens, mean_turns))
        print(f"{title}: {len(bench.rows)} conversations, {bench.tokens:,} tokens")
        print(f"per conversation: {bench.spread()}\n")
        print("| engine | tokens per CPU second | mean loss |\n| --- | --- | --- |")
        found = measure(bench, arguments.rounds)
        for name, (speeds, losses) in found.items():
            print(f"| {name} | {statistics.median(speeds):,.0f} | {statistics.median(losses):.4f} |")
        speed = {name: statistics.median(speeds) for name, (speeds, _losses) in found.items()}
        print(f"\nazft / TRL padded: {speed['azft'] / speed['TRL, padded (its default)']:.2f}x")
        print(f"azft packed / TRL packed: {speed['azft, packed'] / speed['TRL, packed']:.2f}x\n")


def cpu_lines() -> list[str]:
    """Return what the system says of its processor."""
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


if __name__ == "__main__":
    main()
