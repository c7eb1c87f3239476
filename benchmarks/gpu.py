"""Phi-3-mini's real shape on one GPU: azft's engine and TRL with the same settings, in the same process.

`pip install "azft[local,quantized]" trl==1.16.0 && python benchmarks/gpu.py`. No weights are fetched: they are random,
in bf16, of the published configuration (3.82 billion), and so are the tokens, in ultrachat's lengths (log-normal, mean
1,200, cut at 4,096). Each way takes a few steps of LoRA (r 8 on all linear layers), packed, with gradient
checkpointing, and prints tokens per second (padding does not count), the peak of allocated memory against the plan's
estimate, the share of the card's dense bf16 peak (MFU, counting what is computed again), and the losses. It should take
less than 8 minutes on a card with 24 GiB or more. `--tiny` tries it out without a GPU.
"""

from __future__ import annotations

import argparse
import gc
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from attrs import evolve, frozen
from transformers import Trainer, TrainerCallback, TrainingArguments

from azft.domain.architecture import Architecture
from azft.engine.adapters import PHI3_TARGETS
from azft.engine.collate import Packed, PackedRows
from azft.engine.loading import load_model
from azft.engine.losses import loss_in_parts
from azft.engine.rows import Rows
from azft.engine.tokens import IGNORE, Encoded
from azft.rules.memory import Training, memory_estimate
from azft.rules.throughput import operations
from azft.snapshot import architectures, virtual_machines

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.memory import network

RANK, CAPACITY, STEPS, WARM = 8, 4_096, 14, 4
"""LoRA's rank, tokens of a packed row, optimizer steps, and how many of them are not timed."""
PHI3 = architectures()["Phi-3-mini-4k-instruct"]
TINY = evolve(PHI3, hidden=128, layers=2, heads=4, kv_heads=4, intermediate=256, vocabulary=640, context=512)


@frozen
class Found:
    """What one way brought."""

    speed: float
    peak: float
    losses: tuple[float, ...]


class Clock(TrainerCallback):
    """Times the steps behind the first few, and keeps the losses."""

    def __init__(self) -> None:
        self.begun, self.seconds, self.losses = 0.0, 0.0, list[float]()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock once it is warm, and read it."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        if state.global_step == WARM:
            self.begun = time.perf_counter()
        self.seconds = time.perf_counter() - self.begun

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        """Keep the loss."""
        if "loss" in (logs or {}):
            self.losses.append(float(logs["loss"]))


def weights(folder: Path, shape: Architecture) -> Path:
    """Write random weights of a shape, in bf16."""
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.device(device):
        model = network(shape)
    model.to(torch.bfloat16).save_pretrained(folder)
    del model
    free()
    return folder


def conversations(shape: Architecture, capacity: int) -> Rows:
    """Return rows of random tokens in ultrachat's lengths, whose second half is learned."""
    random = np.random.default_rng(0)
    lengths = np.minimum(random.lognormal(np.log(1_200) - 0.18, 0.6, STEPS * 8), capacity).astype(int)
    made = []
    for length in np.maximum(lengths * capacity // CAPACITY, 8):
        ids = random.integers(2, shape.vocabulary, length).astype(np.int32)
        labels = ids.copy()
        labels[: length // 2] = IGNORE
        made.append(Encoded(ids, labels, truncated=False))
    return Rows.of(made)


def adapters(model: Any) -> Any:
    """Put the same adapters on a model."""
    from peft import LoraConfig, get_peft_model

    torch.manual_seed(0)
    model.config.use_cache = False
    wanted = LoraConfig(r=RANK, lora_alpha=16, target_modules=list(PHI3_TARGETS), task_type="CAUSAL_LM")
    return get_peft_model(model, wanted)


def settings(folder: str) -> dict[str, Any]:
    """Return what both are told."""
    return {
        "output_dir": folder,
        "max_steps": STEPS,
        "per_device_train_batch_size": 1,
        "gradient_checkpointing": True,
        "gradient_checkpointing_kwargs": {"use_reentrant": False},
        "bf16": torch.cuda.is_available(),
        "use_cpu": not torch.cuda.is_available(),
        "learning_rate": 1e-4,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": [],
        "disable_tqdm": True,
        "seed": 0,
    }


def ours(folder: Path, rows: Rows, capacity: int, *, four_bit: bool) -> Callable[[str, Clock], Trainer]:
    """Return what makes azft's trainer."""

    def make(place: str, clock: Clock) -> Trainer:
        flash = torch.cuda.is_available() and find_spec("flash_attn") is not None
        model = load_model(folder, four_bit=four_bit, attention="flash_attention_2" if flash else None)
        return Trainer(
            model=adapters(model),
            args=TrainingArguments(**settings(place), remove_unused_columns=False, label_names=["labels"]),
            data_collator=Packed(0, flash),
            train_dataset=PackedRows(rows, capacity),
            compute_loss_func=loss_in_parts,
            callbacks=[clock],
        )

    return make


def theirs(folder: Path, rows: Rows, capacity: int) -> Callable[[str, Clock], Trainer]:
    """Return what makes TRL's."""

    def make(place: str, clock: Clock) -> Trainer:
        from datasets import Dataset
        from tokenizers import Tokenizer, models
        from transformers import PreTrainedTokenizerFast
        from trl import SFTConfig, SFTTrainer

        table = {"input_ids": [rows[n]["input_ids"] for n in range(len(rows))]}
        table["completion_mask"] = [[int(label >= 0) for label in rows[n]["labels"]] for n in range(len(rows))]
        pad, end = "<pad>", "<end>"
        words = Tokenizer(models.WordLevel({pad: 0, end: 1}, unk_token=pad))
        reads = PreTrainedTokenizerFast(tokenizer_object=words, pad_token=pad, eos_token=end)
        trainer: Trainer = SFTTrainer(
            model=adapters(load_model(folder)),
            args=SFTConfig(**settings(place), max_length=capacity, packing=True, completion_only_loss=True),
            train_dataset=Dataset.from_dict(table),
            processing_class=reads,
            callbacks=[clock],
        )
        return trainer

    return make


def run(make: Callable[[str, Clock], Trainer], rows: Rows, packs: int) -> Found:
    """Train, and return speed, peak in GiB and losses."""
    free()
    clock = Clock()
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with tempfile.TemporaryDirectory() as place:
        trainer = make(place, clock)
        trainer.train()
    peak = torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0
    tokens = (STEPS - WARM) * len(rows.ids) / packs
    del trainer
    free()
    return Found(tokens / clock.seconds, peak, tuple(clock.losses))


def free() -> None:
    """Give back what is no longer used."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiny", action="store_true", help="a small network, on a processor")
    tiny = parser.parse_args().tiny
    if not tiny and not torch.cuda.is_available():
        parser.error("there is no GPU here; --tiny tries the program out")
    shape, capacity = (TINY, 256) if tiny else (PHI3, CAPACITY)
    card = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    peaks = [size.peak for size in virtual_machines() if size.gpu and size.gpu.split()[-1] in card and size.peak]
    peak = max(peaks, default=0.0)
    rows = conversations(shape, capacity)
    packs = len(PackedRows(rows, capacity))
    work = operations(shape, lora=True, sequence=float(len(rows.ids) / len(rows)), checkpointing=True)
    print(f"{card}, torch {torch.__version__}; {len(rows)} conversations in {packs} rows of up to {capacity:,} tokens")
    print("\n| way | tokens/s | peak GiB | estimate GiB | MFU | first and last loss |")
    print("| --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as place:
        folder = weights(Path(place) / "weights", shape)
        ways = {"azft, LoRA": ours(folder, rows, capacity, four_bit=False), "TRL, LoRA": theirs(folder, rows, capacity)}
        if find_spec("bitsandbytes") is not None:
            ways["azft, QLoRA"] = ours(folder, rows, capacity, four_bit=True)
        for name, make in ways.items():
            found = run(make, rows, packs)
            how = Training(RANK, "half", 0, 1, 1, capacity, checkpointing=True, four_bit="QLoRA" in name)
            estimate = memory_estimate(shape, how)
            used = f"{found.speed * work / (peak * 1e12):.0%}" if peak else "unknown"
            bounds = f"{estimate.low:.1f} to {estimate.high:.1f}"
            cells = (name, f"{found.speed:,.0f}", f"{found.peak:.1f}", bounds, used)
            print("|", " | ".join([*cells, f"{found.losses[0]:.4f}, {found.losses[-1]:.4f}"]), "|", flush=True)


if __name__ == "__main__":
    main()
