"""Train in several processes of this machine, one a device: start them, wait for them, and say what became of them."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from attrs import evolve, frozen
from filelock import FileLock
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, ProcessRaisedException, start_processes

from azft.domain.job import Job
from azft.domain.jsonable import from_json
from azft.errors import AzftError
from azft.files import write_whole
from azft.processes import LOOPBACK
from azft.stages.context import StageContext, Untracked
from azft.stages.reasons import reason
from azft.training.events import EventLog, Unheard
from azft.training.group import PATIENCE, Group
from azft.training.task import CanceledError
from azft.variables import hub_secrets

TOO_LARGE, CANCELED, FAILED = 75, 76, 77
"""How a rank ends that ran out of its device's memory, was canceled, or failed."""
LOOK = 0.5
"""Seconds between two looks at the ranks, and between a rank's looks whether anybody waits for it."""
STILL_THERE = 60.0
"""Seconds to wait for the ranks of a worker that was killed: they see it and end."""
Work = Callable[[StageContext, Group, int], None]
"""What every rank does; the number says how often a pass was too large before."""


class RankFailedError(AzftError):
    """A process of several failed; the message is what it said."""


class TooLargeError(AzftError):
    """A pass did not fit in a device's memory; the message is what was said of it."""


def run_ranks(context: StageContext, work: Work, group: Group, shrunk: int) -> None:
    """Run `work` in `group.size` processes that talk over loopback alone, and wait for them.

    If one ends, all end. Errors: `TooLargeError`, `CanceledError`, `RankFailedError`. Where a rank was killed this
    process ends in the same way, as its run is to go on from the last checkpoint.
    """
    said = context.folder / "rank.txt"
    said.unlink(missing_ok=True)
    meeting = context.folder / f".meeting-{uuid.uuid4().hex}.tmp"
    order = _Order(
        work, group, shrunk, context.folder, context.weights, context.events.stage, os.getpid(), f"file://{meeting}"
    )
    # The weights are here by now: what fetching them needed is no business of other processes.
    for name in hub_secrets(os.environ):
        del os.environ[name]
    ranks: Any = start_processes(  # type: ignore[no-untyped-call]
        _rank, (order,), nprocs=group.size, join=False, daemon=False, start_method="spawn"
    )
    try:
        while not ranks.join(LOOK):
            context.live.update()
    except (ProcessExitedException, ProcessRaisedException) as error:
        _judge(error, [rank.exitcode for rank in ranks.processes], said)
    finally:
        for rank in ranks.processes:
            if rank.is_alive():
                rank.kill()
            rank.join()
        meeting.unlink(missing_ok=True)


def _judge(error: Any, codes: Sequence[int | None], said: Path) -> NoReturn:
    """Say what became of the ranks: a kill of one is the cause of whatever the others met."""
    killed = [number for number, code in enumerate(codes) if code and code < 0 and code != -signal.SIGTERM]
    if killed or (isinstance(error, ProcessExitedException) and error.exit_code < 0):
        print(f"a process of several was killed: {killed or error}", file=sys.stderr, flush=True)  # noqa: T201 - the log
        os.kill(os.getpid(), signal.SIGKILL)
    if CANCELED in codes:
        raise CanceledError from error
    told = said.read_text(encoding="utf-8") if said.exists() else str(error)
    if TOO_LARGE in codes:
        raise TooLargeError(told) from None
    raise RankFailedError(told) from error


@frozen
class _Order:
    """What every rank is told: what to do, with whom and where, for which process, and where they meet."""

    work: Work
    group: Group
    shrunk: int
    folder: Path
    weights: Path
    stage: str
    parent: int
    meeting: str


def _rank(rank: int, order: _Order) -> None:
    """Be one of the processes: end with the worker that waits, and never beside a rank of one before it."""
    threading.Thread(target=_end_with, args=(order.parent,), daemon=True).start()
    here = order.folder
    code = 0
    with FileLock(here / f"rank-{rank}.lock").acquire(timeout=STILL_THERE):
        try:
            _join(rank, order.group.size, order.meeting)
            order.work(_context(order, rank), evolve(order.group, rank=rank), order.shrunk)
        except CanceledError:
            code = CANCELED
        except Exception as error:  # noqa: BLE001 - whatever it is, the worker has to say it
            traceback.print_exc()
            # The first one that fails is the cause; the others fail for its being gone.
            if not (here / "rank.txt").exists():
                write_whole(here / "rank.txt", reason(error).encode())
            code = TOO_LARGE if isinstance(error, torch.OutOfMemoryError) else FAILED
    sys.stdout.flush()
    sys.stderr.flush()
    # An orderly exit would wait for others that wait for this one, and may meet threads of gloo that still run.
    os._exit(code)


def _join(rank: int, size: int, meeting: str) -> None:
    """Join the group, over loopback alone and without a port that anybody could take."""
    os.environ.update(
        RANK=str(rank),
        LOCAL_RANK=str(rank),
        WORLD_SIZE=str(size),
        LOCAL_WORLD_SIZE=str(size),
        MASTER_ADDR="127.0.0.1",
        GLOO_SOCKET_IFNAME=LOOPBACK,
        NCCL_SOCKET_IFNAME=LOOPBACK,
        OMP_NUM_THREADS="1",  # accelerate sets another number where this is missing; ours is set after it.
    )
    on_gpu = torch.cuda.is_available()
    if on_gpu:
        torch.cuda.set_device(rank)
    else:
        # accelerate would say "cpu:1", which torch cannot load an optimizer's state for.
        os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
    distributed.init_process_group(
        "nccl" if on_gpu else "gloo",
        init_method=meeting,
        rank=rank,
        world_size=size,
        timeout=PATIENCE,
        device_id=torch.device("cuda", rank) if on_gpu else None,
    )


def _context(order: _Order, rank: int) -> StageContext:
    job = from_json(Job, (order.folder / "job.json").read_bytes())
    events = (EventLog if rank == 0 else Unheard)(order.folder / "events.jsonl")
    events.stage = order.stage
    return StageContext(order.folder, order.weights, job, events, Untracked())


def _end_with(parent: int) -> None:
    """End this process once the one that started it is gone: nobody would take what it makes."""
    while os.getppid() == parent:
        time.sleep(LOOK)
    os._exit(FAILED)
