"""A real model of 135 million weights, trained in every way on the same rows: the losses must agree.

`python -m benchmarks.real_losses FOLDER [--steps 3]`, where FOLDER holds its weights, as `examples/real_model.py`
leaves them in `.azft/weights`. Full fine-tuning, LoRA and packed rows, each in one process, with gradient
checkpointing, in two processes (DDP), and in two with a part of the weights each (FSDP2). The rows of a step are the
same in all ways of a kind.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

from attrs import evolve

from azft.backends.local.runs import LocalRuns
from azft.stages.context import Untracked
from azft.stages.finetune import train_as_one_of_several
from azft.stages.ranks import run_ranks
from azft.training.group import Group
from azft.training.loop import train
from tests.small_runs import losses, staged_run

ROWS = 4
ALIKE = 1e-4
"""Relative difference: 30 layers of sums in another order, and Adam's division of each gradient by its size."""
KINDS: dict[str, dict[str, Any]] = {
    "full": {"apply_lora": False},
    "LoRA": {"apply_lora": True, "lora_r": 8},
    "packed": {"apply_lora": False, "packing": True, "pack_length": 64},
}
WAYS: dict[str, tuple[Group, dict[str, Any]]] = {
    "one process": (Group(), {}),
    "checkpointing": (Group(), {"gradient_checkpointing": "on"}),
    "two processes": (Group(size=2), {}),
    "two, sharded": (Group(size=2, sharded=True), {}),
}


def main() -> int:
    """Print the losses of every way; 1 if they do not agree."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--steps", type=int, default=3)
    given = parser.parse_args()
    worst = 0.0
    for kind, asked in KINDS.items():
        first: list[float] = []
        for way, (group, more) in WAYS.items():
            begun = time.monotonic()
            found = _losses(given.weights, group, {**asked, **more, "max_steps": given.steps})
            first = first or found
            apart = max(abs(one - other) / one for one, other in zip(first, found, strict=True))
            worst = max(worst, apart)
            said = ", ".join(f"{loss:.6f}" for loss in found)
            print(f"{kind:<7} {way:<14} {said}  {apart:.1e}  {time.monotonic() - begun:.0f} s", flush=True)
    print(f"largest difference {worst:.1e}, allowed {ALIKE:.0e}")
    return int(worst > ALIKE)


def _losses(weights: Path, group: Group, parameters: dict[str, Any]) -> list[float]:
    with mock.patch.object(LocalRuns, "_start"), tempfile.TemporaryDirectory() as place:
        micro = ROWS // group.size
        context = staged_run(
            Path(place), weights, 60, apply_deepspeed=False, learning_rate=1e-5, per_device_train_batch_size=micro,
            threads=2, **parameters,
        )  # fmt: skip
        if group.size == 1:
            train(evolve(context, live=Untracked()).task, group)
        else:
            run_ranks(context, train_as_one_of_several, group, 0)
        found = losses(context)
        shutil.rmtree(context.folder)
        return found


if __name__ == "__main__":
    sys.exit(main())
