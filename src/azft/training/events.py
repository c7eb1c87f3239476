"""The event log of a run: one JSON object a line, only ever appended to."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from cattrs import BaseValidationError

from azft.domain.jsonable import from_json, to_json
from azft.domain.run import EventKind, RunEvent, RunStatus


class EventLog:
    """Appends events; a line that a killed writer left unfinished is cut off first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists():
            content = path.read_bytes()
            whole = content.rfind(b"\n") + 1
            if whole != len(content):
                with path.open("r+b") as file:
                    file.truncate(whole)
        self.stage = ""

    def say(
        self,
        kind: EventKind,
        message: str = "",
        *,
        step: int = 0,
        total: int = 0,
        values: Mapping[str, float] | None = None,
    ) -> None:
        """Append one event of the current stage."""
        # JSON has no word for infinity or for what is no number.
        finite = {name: value for name, value in (values or {}).items() if math.isfinite(value)}
        event = RunEvent(time.time(), kind, self.stage, message, step, total, finite)
        with self.path.open("ab") as file:
            file.write(to_json(event) + b"\n")


MARK = "azft-event "
"""What a line of a job's log begins with that is an event."""


def line_of(event: RunEvent) -> str:
    """Return an event as a line of a job's log."""
    return f"{MARK}{to_json(event).decode()}"


def event_of(line: str) -> RunEvent | None:
    """Return the event that a line of a job's log ends with, None where it is any other line.

    What another stream has left open, such as a bar of progress, may stand before it.
    """
    _before, mark, said = line.partition(MARK)
    try:
        return from_json(RunEvent, said) if mark else None
    except (ValueError, TypeError, KeyError, BaseValidationError):
        return None


class Unheard(EventLog):
    """The log of a process that trains beside others: the first of them speaks for all."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stage = ""

    def say(self, *_: object, **_more: object) -> None:
        """Say nothing."""


def read_events(path: Path) -> list[RunEvent]:
    """Return every whole event so far."""
    return list(EventReader(path).new())


class EventReader:
    """Reads a growing log from the first event on, each event once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def new(self) -> Iterator[RunEvent]:
        """Yield the whole lines that were added since the last call."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            for line in file:
                if not line.endswith(b"\n"):
                    return
                self._offset += len(line)
                yield from_json(RunEvent, line)

    def at_end(self) -> bool:
        """Return whether nothing was added behind the last event that was yielded."""
        return not self._path.exists() or self._path.stat().st_size <= self._offset


def status_of(events: list[RunEvent]) -> RunStatus:
    """Return the last status that was said; a run that has said nothing is queued."""
    said = [event.message for event in events if event.kind == "status"]
    return RunStatus(said[-1]) if said else RunStatus.QUEUED
