"""What azft is about to make, has made and has deleted: one file that every process of the folder appends to.

A line is on the disk before the first request goes out, so that nothing that costs money can be made without a trace.
Every line stands for itself: one that cannot be read is passed over and reported, and the others still hold.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import orjson
from attrs import evolve, field, frozen
from cattrs import BaseValidationError
from filelock import FileLock

from azft.domain.jsonable import from_json, to_json
from azft.domain.resource import Resource, ResourceKind
from azft.errors import AzftError, ConfigurationError
from azft.processes import is_alive, started
from azft.rules.marks import marks

What = Literal["intend", "made", "gone"]


@frozen
class Entry:
    """One line: what is meant to be made, was made or is gone, by which session of which process, and when.

    `time` and `started` (of the process) are seconds since 1970.
    """

    what: What
    resource: Resource
    session: str
    pid: int
    time: float
    started: float = 0.0

    @property
    def orphaned(self) -> bool:
        """Whether the process that wrote it is gone."""
        return not is_alive(self.pid, self.started)


@frozen
class Intent:
    """A thing that is about to be made: what it will be, and the tags it is to carry."""

    resource: Resource
    tags: dict[str, str] = field(factory=dict)


class Ledger:
    """Appends lines and reads them back; `session` marks everything that this one makes."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger.jsonl"
        self.session = uuid.uuid4().hex
        self._started = started()

    @contextmanager
    def making(
        self, kind: ResourceKind, name: str, backend: str, *, key: str = "", token: str = ""
    ) -> Iterator[Intent]:
        """Write the intent, let the block make it, and write that it was made.

        If the block fails, the intent stands until somebody has looked whether the thing is there.
        """
        resource = Resource(kind, name, backend, token or uuid.uuid4().hex)
        self._append("intend", resource)
        try:
            yield Intent(resource, marks(self.session, resource.token, key))
        except AzftError as error:
            error.add_note(
                f"{kind} {name} is written down as begun: the same call again goes on from what there is, and "
                "session.cleanup() takes away whatever was made"
            )
            raise
        self._append("made", resource)

    def made(self, resource: Resource) -> None:
        """Remember a resource of this session; one that already stands is not written twice."""
        known = [entry for entry in self.standing() if entry.resource == resource and entry.what == "made"]
        if not any(not resource.token or entry.resource.token == resource.token for entry in known):
            self._append("made", resource)

    def gone(self, resource: Resource) -> None:
        """Forget a resource."""
        self._append("gone", resource)

    def standing(self) -> list[Entry]:
        """Return what stands or may stand, oldest first: two intents of one name are two things, until one is gone.

        A line without a token is about whatever has the name.
        """
        found: dict[tuple[Resource, str], Entry] = {}
        for line in self._lines():
            if not isinstance(line, Entry):
                continue
            resource, token = line.resource, line.resource.token
            same = [key for key in found if key[0] == resource and (not token or key[1] == token)]
            for key in same:
                del found[key]
            if line.what != "gone":
                token = token or (same[-1][1] if same else "")
                found[resource, token] = evolve(line, resource=evolve(resource, token=token))
        return list(found.values())

    def unreadable(self) -> tuple[str, ...]:
        """Return the lines that say nothing, each with its number; they are left where they are."""
        return tuple(line for line in self._lines() if isinstance(line, str))

    def _lines(self) -> Iterator[Entry | str]:
        """Yield each line as an entry, or as a text that names it."""
        if not self._path.exists():
            return
        for number, line in enumerate(self._path.read_bytes().split(b"\n"), start=1):
            if not line.strip():
                continue
            try:
                yield from_json(Entry, line)
            except (orjson.JSONDecodeError, BaseValidationError, TypeError, ValueError, KeyError) as error:
                yield f"{self._path}, line {number}: {line[:60]!r} ({type(error).__name__})"

    def _append(self, what: What, resource: Resource) -> None:
        entry = Entry(what, resource, self.session, os.getpid(), time.time(), self._started)
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(self._path.with_suffix(".lock")), self._path.open("ab+") as file:
                file.seek(0, os.SEEK_END)
                if file.tell():
                    file.seek(-1, os.SEEK_END)
                    # A line that a killed writer left unfinished stays for itself, so that it spoils no other.
                    start = b"" if file.read(1) == b"\n" else b"\n"
                else:
                    start = b""
                file.write(start + to_json(entry) + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise ConfigurationError(
                f"{self._path} cannot be written: {error.strerror}, so nothing is begun that it could not remember",
                hint="give folder= a place that can be written",
            ) from error
