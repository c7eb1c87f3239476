"""Every way in which small networks are trained, whose losses are to be the same; and TRL's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from azft.domain.job import Job
from azft.domain.jsonable import from_json
from azft.engine.loading import load_model, load_tokenizer
from azft.engine.rows import read_rows
from azft.stages.context import StageContext, Untracked
from azft.stages.ranks import run_ranks
from azft.training.events import EventLog, Unheard
from azft.training.group import Group
from azft.training.loop import train
from tests.sampling import sampled
from tests.small_runs import FAMILIES, losses, replaced, staged_run
from tests.test_local_backend import own_model

RELEASED = Path(__file__).parent / "data" / "losses.json"
"""The losses of the last release: `python -m benchmarks.loss_compare --write` takes today's for the next."""
COUNT = 160
"""Conversations, so many that no epoch ends: at its end processes read rows twice, and one process does not."""
ROWS = 8
"""Rows of a step, whichever way it is done."""
ALIKE = 1e-5
"""Relative difference of losses: sums in another order differ by the 6e-8 of 32 bit, and four steps add up to 1e-6."""


@frozen
class Way:
    """How a small network is trained."""

    family: str
    packing: bool = False
    checkpointing: bool = False
    accumulation: int = 1
    lora: bool = False

    def __str__(self) -> str:
        words = (self.packing * "packed", self.checkpointing * "checkpointing", self.lora * "LoRA")
        return ", ".join([self.family, *filter(None, words), f"{self.accumulation} passes"])

    def parameters(self, processes: int) -> dict[str, Any]:
        """Return what each of the processes is told; a step of all has the same rows."""
        return {
            "apply_lora": self.lora,
            "apply_deepspeed": False,
            "packing": self.packing,
            "pack_length": 16 if self.packing else -1,
            "gradient_checkpointing": "on" if self.checkpointing else "off",
            "gradient_accumulation_steps": self.accumulation,
            "per_device_train_batch_size": ROWS // self.accumulation // processes,
            "max_steps": 4,
            "learning_rate": 1e-3,
        }


WAYS = [
    *(Way(*how) for how in product(FAMILIES, (False, True), (False, True), (1, 4))),
    Way("llama", lora=True),
    Way("llama", packing=True, lora=True),
    Way("llama", packing=True, lora=True, accumulation=4),
]
FEWER = [way for way in WAYS if way.family in {"llama", "gemma2"}]
"""The ways that several processes take in a sample."""
SAME = (
    *("max_steps", "learning_rate", "lr_scheduler_type", "warmup_steps", "weight_decay", "adam_beta1", "adam_beta2"),
    *("adam_epsilon", "max_grad_norm", "logging_steps", "seed"),
)
"""Inputs that TRL is told as azft is."""
KINDS = {"one": Group(), "ddp": Group(size=2), "fsdp2": Group(size=2, sharded=True)}


def in_folder(context: StageContext, folder: Path, group: Group) -> StageContext:
    """Return the context of a run's folder that was copied."""
    job = from_json(Job, (folder / "job.json").read_bytes())
    return evolve(context, folder=folder, job=job, live=Untracked(),
                  events=(EventLog if group.first else Unheard)(folder / "events.jsonl"))  # fmt: skip


def train_each(context: StageContext, group: Group, _shrunk: int) -> None:
    """Train every way in the same processes, which are costly to start."""
    for folder in sorted(context.folder.parent.glob("way-*")):
        train(in_folder(context, folder, group).task, group)


def ways_of(kind: str) -> Sequence[Way]:
    """Return the ways that the processes of a kind are tried in."""
    return WAYS if kind == "one" else sampled(WAYS, FEWER)


def losses_of(place: Path, kind: str) -> list[list[float]]:
    """Train every way in the processes of a kind, and return the losses of the steps of each."""
    for family in FAMILIES:
        if not (place / family).exists():
            replaced(own_model(place / family), family)
    group = KINDS[kind]
    (place / kind).mkdir()
    contexts = [
        staged_run(place / kind, place / way.family, COUNT, **way.parameters(group.size)) for way in ways_of(kind)
    ]
    folders = [context.folder.with_name(f"way-{number:02}") for number, context in enumerate(contexts)]
    for context, folder in zip(contexts, folders, strict=True):
        shutil.copytree(context.folder, folder)
    if group.size == 1:
        train_each(contexts[0], group, 0)
    else:
        run_ranks(contexts[0], train_each, group, 0)
    return [losses(in_folder(contexts[0], folder, group)) for folder in folders]


def losses_of_trl(place: Path, family: str) -> list[float]:
    """Train a family in one process with TRL's SFTTrainer, on the very rows that azft read, and return the losses."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    number = WAYS.index(Way(family))
    folder = next((place / "one").glob(f"home/runs/way-{number:02}"))
    job = from_json(Job, (folder / "job.json").read_bytes())
    rows = read_rows(folder / "preprocess" / "train")
    table = {"input_ids": [rows[n]["input_ids"] for n in range(len(rows))]}
    table["completion_mask"] = [[int(label >= 0) for label in rows[n]["labels"]] for n in range(len(rows))]
    model = load_model(folder / "import", dtype="float32")
    model.config.use_cache = False
    arguments = SFTConfig(
        output_dir=str(place / f"trl-{family}"),
        per_device_train_batch_size=ROWS,
        **{name: job.parameters[name] for name in SAME},
        save_strategy="no",
        gradient_checkpointing=False,
        completion_only_loss=True,
        bf16=False,
        report_to=[],
        disable_tqdm=True,
        use_cpu=True,
    )
    trainer = SFTTrainer(
        model=model,
        args=arguments,
        train_dataset=Dataset.from_dict(table),
        processing_class=load_tokenizer(folder / "import"),
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


def read_losses(path: Path) -> dict[str, list[float]]:
    """Return the losses of each way that a file holds."""
    found: dict[str, list[float]] = json.loads(path.read_text(encoding="ascii"))["losses"]
    return found
