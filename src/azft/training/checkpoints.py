"""Checkpoints that are either whole or ignored.

`Trainer` writes straight into `checkpoint-N`, so a kill leaves folders that look usable and are not: a missing
optimizer file even resumes silently with a fresh state. Only a folder whose seal lists every file's size and
SHA-256, and still matches, is resumed from.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson

from azft.files import make_durable, sha256_of, write_whole

SEAL = "sealed.json"
STATE = "state.pt"
BETWEEN = "between.json"
"""Marks a checkpoint that was written because time had passed: the next one takes its place."""


def seal(folder: Path) -> None:
    """Make every file durable, then write the list of them."""
    make_durable(folder)
    listed = {path.relative_to(folder).as_posix(): _identity(path) for path in _contents(folder)}
    write_whole(folder / SEAL, orjson.dumps(listed))


def is_whole(folder: Path) -> bool:
    """Whether the folder is sealed and holds exactly what its seal says."""
    path = folder / SEAL
    if not path.is_file():
        return False
    try:
        sealed = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError:
        return False  # A mount of cloud storage may have kept a part of it.
    return bool(sealed == {item.relative_to(folder).as_posix(): _identity(item) for item in _contents(folder)})


def newest_whole(folder: Path, *, remove: bool = True) -> Path | None:
    """Return the newest whole checkpoint, and remove those behind it, which are not whole."""
    for checkpoint in sorted(all_of(folder), key=step_of, reverse=True):
        if is_whole(checkpoint):
            return checkpoint
        if remove:
            shutil.rmtree(checkpoint)
    return None


def is_last(checkpoint: Path) -> bool:
    """Whether the training was over when the checkpoint was written: it had done its steps, or stopped early."""
    state = orjson.loads((checkpoint / "trainer_state.json").read_bytes())
    control = state["stateful_callbacks"].get("TrainerControl", {}).get("args", {})
    return bool(control.get("should_training_stop"))


def prune(folder: Path, keep: int, best: str | None) -> None:
    """Remove old whole checkpoints but the best one and the newest `keep`; fewer than two would risk the run."""
    whole = [path for path in sorted(all_of(folder), key=step_of) if (path / SEAL).is_file()]
    for checkpoint in whole[: -max(keep, 2)]:
        if best is None or checkpoint.name != Path(best).name:
            shutil.rmtree(checkpoint)


def mark_between(folder: Path) -> None:
    """Say of a checkpoint that is not sealed yet that only time had passed; it is kept until the next one."""
    write_whole(folder / BETWEEN, b"{}")


def prune_between(folder: Path, best: str | None) -> None:
    """Remove whole checkpoints between evaluations but the best one and the newest two of all."""
    whole = [path for path in sorted(all_of(folder), key=step_of) if (path / SEAL).is_file()]
    for checkpoint in whole[:-2]:
        if (checkpoint / BETWEEN).is_file() and (best is None or checkpoint.name != Path(best).name):
            shutil.rmtree(checkpoint)


def keep(folder: Path, step: int, state: Mapping[str, Any]) -> None:
    """Write a state as a whole checkpoint of a step, and drop all but the two newest."""
    import torch

    place = folder / f"checkpoint-{step}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    torch.save(dict(state), place / STATE)
    seal(place)
    prune(folder, 2, None)


def kept(checkpoint: Path) -> tuple[int, dict[str, Any]]:
    """Return the step and the state of a checkpoint that `keep` wrote; nothing in it is run."""
    import torch

    found: dict[str, Any] = torch.load(checkpoint / STATE, weights_only=True)
    return step_of(checkpoint), found


def all_of(folder: Path) -> list[Path]:
    """Return the checkpoints of a folder; another name may be somebody's own."""
    return [path for path in folder.glob("checkpoint-*") if path.name.rpartition("-")[2].isdecimal()]


def _contents(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.name != SEAL)


def _identity(path: Path) -> list[int | str]:
    return [path.stat().st_size, sha256_of(path)]


def step_of(checkpoint: Path) -> int:
    """Return the step that a checkpoint was written at."""
    return int(checkpoint.name.rpartition("-")[2])
