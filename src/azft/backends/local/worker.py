"""The child process of one run: walk the stages in order, skip those already done, say how it ended."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from filelock import Timeout

from azft.backends.local.holding import WORKER, held
from azft.backends.local.home import Home
from azft.backends.local.launch import received_secrets
from azft.backends.local.live import LiveTracking
from azft.domain.job import Job
from azft.domain.jsonable import from_json
from azft.domain.run import RunStatus
from azft.files import remove_leftovers, write_whole
from azft.stages.context import StageContext
from azft.stages.reasons import reason
from azft.stages.walking import STAGES, do
from azft.training.events import EventLog, read_events, status_of
from azft.training.task import CanceledError

JOB = "job.json"
LOCK_WAIT = 5.0
"""Seconds to wait for the lock: somebody may be looking whether a worker is alive."""


def main(folder: Path, root: Path) -> None:
    """Work on the run in `folder` unless another worker has it, it has ended, or it was deleted."""
    os.environ.update(received_secrets())
    try:
        with held(folder / WORKER, JOB, within=LOCK_WAIT) as there:
            if there:
                _work(folder, Home(root))
    except Timeout:
        return


def _work(folder: Path, home: Home) -> None:
    events = EventLog(folder / "events.jsonl")
    if status_of(read_events(events.path)).ended:
        return
    remove_leftovers(folder, alone=True)
    job = from_json(Job, (folder / JOB).read_bytes())
    live = LiveTracking(folder.name, home, job, events)
    context = StageContext(folder, home.weights, job, events, live)
    events.say("status", RunStatus.RUNNING)
    with _Ending(events, folder, live):
        for stage in STAGES:
            do(stage, context)


class _Ending:
    """Says how the work in the block ended, whatever it raised; only a kill leaves a run open, to be resumed."""

    def __init__(self, events: EventLog, folder: Path, live: LiveTracking) -> None:
        self._events = events
        self._live = live
        self._failure = folder / "failure.txt"

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        status = RunStatus.COMPLETED
        if isinstance(error, CanceledError):
            status = RunStatus.CANCELED
        elif error is not None:
            traceback.print_exception(error)
            write_whole(self._failure, f"stage {self._events.stage}: {reason(error)}".encode())
            status = RunStatus.FAILED
        self._events.stage = ""
        try:
            self._live.end(status, begun=(self._failure.parent / STAGES[0]).is_dir())
        finally:
            self._events.say("status", status)
        return True


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
