"""The child process of one run: walk the stages in order, skip those already done, say how it ended."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from filelock import FileLock, Timeout

from azft.backends.local.engine.context import CanceledError, StageContext
from azft.backends.local.events import EventLog, read_events, status_of
from azft.backends.local.home import Home
from azft.domain.job import Job
from azft.domain.jsonable import from_json
from azft.domain.run import RunStatus
from azft.errors import AzftError
from azft.files import remove_leftovers, whole_folder, write_whole

STAGES = ("import", "preprocess", "finetune", "evaluate", "export")
LOCK_WAIT = 5.0
"""Seconds to wait for the lock: somebody may be looking whether a worker is alive."""


def main(folder: Path, root: Path) -> None:
    """Work on the run in `folder` unless another worker has it or it has ended."""
    try:
        with FileLock(folder / "worker.lock").acquire(timeout=LOCK_WAIT):
            _work(folder, Home(root))
    except Timeout:
        return


def _work(folder: Path, home: Home) -> None:
    events = EventLog(folder / "events.jsonl")
    if status_of(read_events(events.path)).ended:
        return
    remove_leftovers(folder)
    job = from_json(Job, (folder / "job.json").read_bytes())
    context = StageContext(folder, home, job, events)
    events.say("status", RunStatus.RUNNING)
    try:
        for stage in STAGES:
            _do(stage, context)
    except CanceledError:
        _end(events, RunStatus.CANCELED)
    except (AzftError, OSError, RuntimeError, ValueError, TypeError, ImportError, LookupError) as error:
        traceback.print_exc()
        reason = str(error) if isinstance(error, AzftError) else f"{type(error).__name__}: {error}"
        write_whole(folder / "failure.txt", f"stage {events.stage}: {reason}".encode())
        _end(events, RunStatus.FAILED)
    else:
        _end(events, RunStatus.COMPLETED)


def _do(stage: str, context: StageContext) -> None:
    final = context.folder / stage
    context.events.stage = stage
    if final.exists():
        return
    context.stop_if_canceled()
    context.events.say("stage", "started")
    started = time.monotonic()
    with whole_folder(final) as target:
        _stage(stage)(context, target)
    context.events.say("stage", "done", values={"seconds": round(time.monotonic() - started, 2)})


def _stage(name: str) -> Callable[[StageContext, Path], None]:
    """Import a stage only when it is reached: a resumed run does not pay for stages that are done."""
    if name == "import":
        from azft.backends.local.engine.importing import import_model as stage
    elif name == "preprocess":
        from azft.backends.local.engine.preprocess import preprocess as stage
    elif name == "finetune":
        from azft.backends.local.engine.finetune import finetune as stage
    elif name == "evaluate":
        from azft.backends.local.engine.evaluate import evaluate as stage
    else:
        from azft.backends.local.engine.export import export as stage
    return stage


def _end(events: EventLog, status: RunStatus) -> None:
    events.stage = ""
    events.say("status", status)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
