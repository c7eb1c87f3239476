"""What azft made and has not deleted yet, in one file that every process of the folder appends to."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from attrs import frozen
from filelock import FileLock

from azft.domain.jsonable import from_json, to_json
from azft.domain.resource import Resource


@frozen
class Entry:
    """One line: what was made or is gone, by which session of which process, at `time` (seconds since 1970)."""

    what: Literal["made", "gone"]
    resource: Resource
    session: str
    pid: int
    time: float


class Ledger:
    """Appends lines and reads them back; a line that a killed writer left unfinished is passed over."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.jsonl"
        self.session = uuid.uuid4().hex

    def made(self, resource: Resource) -> None:
        """Remember a resource of this session; one that already stands is not written twice."""
        if all(entry.resource != resource for entry in self.standing()):
            self._append("made", resource)

    def gone(self, resource: Resource) -> None:
        """Forget a resource."""
        self._append("gone", resource)

    def standing(self) -> list[Entry]:
        """Return what still stands, oldest first."""
        found: dict[Resource, Entry] = {}
        for entry in self._entries():
            if entry.what == "made":
                found[entry.resource] = entry
            else:
                found.pop(entry.resource, None)
        return list(found.values())

    def _entries(self) -> Iterator[Entry]:
        if not self._path.exists():
            return
        for line in self._path.read_bytes().splitlines(keepends=True):
            if line.endswith(b"\n") and line.strip():
                yield from_json(Entry, line)

    def _append(self, what: Literal["made", "gone"], resource: Resource) -> None:
        entry = Entry(what, resource, self.session, os.getpid(), time.time())
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._path.with_suffix(".lock")), self._path.open("ab+") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    _cut_unfinished(self._path)
            file.write(to_json(entry) + b"\n")
            file.flush()
            os.fsync(file.fileno())


def _cut_unfinished(path: Path) -> None:
    content = path.read_bytes()
    with path.open("r+b") as file:
        file.truncate(content.rfind(b"\n") + 1)
