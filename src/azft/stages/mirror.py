"""Checkpoints where they outlive the machine: whole ones are copied to a mounted folder, and brought back from it.

A training writes to the disk of its own machine, where a file can be renamed and is seen at once; a mount of cloud
storage promises neither. A copy counts once its seal is there, which goes last.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import orjson

from azft.training import checkpoints
from azft.training.checkpoints import SEAL
from azft.waiting import Repeating

EVERY = 1.0
"""Seconds between two looks for checkpoints that are new."""
STATE = "trainer_state.json"


def bring_back(mounted: Path, folder: Path) -> None:
    """Copy the whole checkpoints of the mounted folder to the machine's own, where others of that name are not."""
    for source in checkpoints.all_of(mounted) if mounted.is_dir() else ():
        target = folder / source.name
        if not (source / SEAL).is_file() or checkpoints.is_whole(target):
            continue
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        if checkpoints.is_whole(target):
            _settle(target)
        else:
            shutil.rmtree(target)


def _same_seal(one: Path, other: Path) -> bool:
    """Return whether two checkpoints are sealed alike, but for where their training says that the best one is."""
    try:
        here, there = (orjson.loads((place / SEAL).read_bytes()) for place in (one, other))
    except (FileNotFoundError, orjson.JSONDecodeError):
        return False
    return isinstance(there, dict) and bool({**here, STATE: None} == {**there, STATE: None})


def _settle(checkpoint: Path) -> None:
    """Say where the best checkpoint is now: the machine before had another folder."""
    path = checkpoint / STATE
    state = orjson.loads(path.read_bytes()) if path.exists() else {}
    best = state.get("best_model_checkpoint")
    if best:
        state["best_model_checkpoint"] = str(checkpoint.parent / Path(best).name)
        path.write_bytes(orjson.dumps(state))
        checkpoints.seal(checkpoint)


class Mirror(Repeating):
    """Keeps the whole checkpoints of a folder in a mounted one, too, while it is entered."""

    def __init__(self, folder: Path, mounted: Path, warn: Callable[[str], None]) -> None:
        super().__init__(self._look, EVERY, "azft-mirror")
        self._folder = folder
        self._mounted = mounted
        self._warn = warn
        self._warned = False

    def clear(self) -> None:
        """Remove what is mounted, once its block has ended: the result is safe, and nothing is to go on from there."""
        for checkpoint in checkpoints.all_of(self._mounted):
            shutil.rmtree(checkpoint, ignore_errors=True)

    def _look(self) -> None:
        try:
            self.copy()
        except OSError as error:
            # A mount may fail for a while; the next look tries again.
            if not self._warned:
                self._warned = True
                self._warn(f"checkpoints cannot be copied to where they outlive the machine: {error}")

    def copy(self) -> None:
        """Copy what is whole and new, the newest first, and then remove what the training has removed before it."""
        for source in sorted(self._here(), key=checkpoints.step_of, reverse=True):
            if not _same_seal(source, self._mounted / source.name):
                self._copied(source, self._mounted / source.name)
        sealed = [there for there in checkpoints.all_of(self._mounted) if (there / SEAL).is_file()]
        newest = max(map(checkpoints.step_of, sealed), default=0)
        wanted = {source.name for source in self._here()}
        for there in checkpoints.all_of(self._mounted):
            if there.name not in wanted and checkpoints.step_of(there) < newest:
                shutil.rmtree(there, ignore_errors=True)

    def _here(self) -> list[Path]:
        return [one for one in checkpoints.all_of(self._folder) if (one / SEAL).is_file()]

    def _copied(self, source: Path, target: Path) -> None:
        """Copy a checkpoint, its seal last; one that was removed meanwhile is not wanted any more."""
        (target / SEAL).unlink(missing_ok=True)
        try:
            for path in sorted(source.rglob("*"), key=lambda path: path == source / SEAL):
                place = target / path.relative_to(source)
                if path.is_dir():
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with path.open("rb") as content, place.open("wb") as copy:
                    shutil.copyfileobj(content, copy)
                    copy.flush()
                    os.fsync(copy.fileno())
        except FileNotFoundError:
            shutil.rmtree(target, ignore_errors=True)
