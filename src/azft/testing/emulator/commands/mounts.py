"""The folders of a node: code, inputs and outputs, as the command finds them."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path

from azft.testing.emulator.blobs import Blobs
from azft.testing.emulator.commands.order import Given, Kept, Order
from azft.testing.emulator.world import CONTAINER

Stamp = tuple[int, int]
"""Size and time of a file, by which a change is seen."""


def lay_out(order: Order, node: Path, blobs: Blobs) -> dict[str, str]:
    """Lay code and inputs out below a node's folder, and return the paths of the inputs by "inputs.NAME".

    Each node has its own copies; what a script writes into an input that is mounted never reaches the storage.
    """
    work = node / "wd"
    work.mkdir(parents=True)
    if order.code:
        container, _, path = order.code.partition("/")
        _copied(blobs, path, work, container)
    for magic in ("outputs", "logs"):
        (work / magic).mkdir(exist_ok=True)
    return {f"inputs.{name}": _place(given, node / f"INPUT_{name}", blobs) for name, given in order.inputs.items()}


def _place(given: Given, target: Path, blobs: Blobs) -> str:
    if given.type == "literal" or given.mode == "Direct":
        return given.value
    if given.folder:
        shutil.copytree(given.folder, target)
        return str(target)
    found = _copied(blobs, given.path, target)
    return str(found)


def _copied(blobs: Blobs, path: str, target: Path, container: str = CONTAINER) -> Path:
    """Copy blobs into a folder; the place of the one blob, where the path is one."""
    found = blobs.link(container, path, target)
    for file in [found] if found.is_file() else target.rglob("*"):
        if file.is_file():
            # A link shares its content with the storage, where nobody may change it.
            aside = file.with_name(f".{file.name}.copy")
            shutil.copyfile(file, aside)
            aside.replace(file)
    return found


class Mount:
    """A folder that stands for a path in storage: what is there is seen in it, and what is written in it gets there.

    A file is taken over once it was left alone for a look, so that none is half there; at the end all are.
    """

    def __init__(self, kept: Kept, folder: Path, blobs: Blobs) -> None:
        self._kept = kept
        self._folder = folder
        self._blobs = blobs
        self._there: dict[str, Stamp] = {}
        self._seen: dict[str, Stamp] = {}

    @property
    def folder(self) -> Path:
        """Where the command finds it."""
        return self._folder

    @property
    def target(self) -> Path:
        """The folder, or the file in it where the output is a file."""
        return self._folder / "file" if self._kept.type == "uri_file" else self._folder

    def begin(self) -> None:
        """Show what is in storage already."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._kept.mode == "ReadWriteMount" and self._blobs.names(CONTAINER, self._kept.path):
            _copied(self._blobs, self._kept.path, self._folder)
            self._there = self._stamps()

    def look(self) -> None:
        """Take over what has changed and is no longer written; a mount does so all the time."""
        if self._kept.mode == "ReadWriteMount":
            self._take(settled=True)

    def end(self) -> None:
        """Take over everything, as at the end of the command."""
        if self._kept.mode in {"ReadWriteMount", "Upload"}:
            self._take(settled=False)

    def _take(self, *, settled: bool) -> None:
        now = self._stamps()
        for name, stamp in now.items():
            if self._there.get(name) != stamp and (not settled or self._seen.get(name) == stamp):
                with suppress(FileNotFoundError):  # It was renamed or deleted meanwhile.
                    self._publish(name)
                    self._there[name] = stamp
        for name in [name for name in self._there if name not in now]:
            self._blobs.delete(CONTAINER, self._blob(name))
            del self._there[name]
        self._seen = now

    def _publish(self, name: str) -> None:
        aside = self._blobs.scratch(CONTAINER)
        shutil.copyfile(self._folder / name, aside)
        self._blobs.keep(CONTAINER, self._blob(name), aside, "application/octet-stream", {})

    def _blob(self, name: str) -> str:
        return self._kept.path if self.target != self._folder and name == "file" else f"{self._kept.path}/{name}"

    def _stamps(self) -> dict[str, Stamp]:
        found: dict[str, Stamp] = {}
        # Unlike others, this walk goes on where a folder is gone before it is looked into.
        for folder, _folders, files in os.walk(self._folder):
            for name in files:
                path = Path(folder, name)
                with suppress(FileNotFoundError):
                    about = path.stat()
                    found[path.relative_to(self._folder).as_posix()] = (about.st_size, about.st_mtime_ns)
        return found
