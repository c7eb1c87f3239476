"""Where a command job stands, in a file that its runner writes and everybody reads."""

from __future__ import annotations

from pathlib import Path

from attrs import field, frozen

from azft.domain.jsonable import from_json, to_json
from azft.domain.run import RunStatus
from azft.files import write_whole

STATE, ORDER, CANCEL, PREEMPT = "state.json", "order.json", "cancel", "preempt"
"""Files of a job's folder: where it stands, what it is, and the wishes of others that its runner looks for."""
LOGS = "logs"
RESTART, FAIL = "restart", "fail"
"""What becomes of a job whose machines are taken away, as its file says."""


@frozen
class Moment:
    """A line of the job's own history."""

    time: float
    text: str


@frozen
class Progress:
    """Status, times in seconds since 1970 (0 for none), the attempt, why it failed, and what happened."""

    status: RunStatus = RunStatus.QUEUED
    begun: float = 0.0
    ended: float = 0.0
    attempt: int = 0
    error: str = ""
    moments: tuple[Moment, ...] = field(default=())
    process: int = 0
    since: float = 0.0


def read(folder: Path) -> Progress:
    """Return where the job of a folder stands."""
    path = folder / STATE
    return from_json(Progress, path.read_bytes()) if path.is_file() else Progress()


def write(folder: Path, progress: Progress) -> None:
    """Keep where the job stands."""
    write_whole(folder / STATE, to_json(progress))
