"""Worker processes that read and judge a split together, and what they make, in the order of the rows."""

from __future__ import annotations

import logging
import mmap
import os
import pickle
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from multiprocessing import Pipe
from pathlib import Path
from types import TracebackType
from typing import Any

from azft.domain.rows import Part
from azft.engine.machine import cores
from azft.errors import DatasetError
from azft.gate.checking import Tally
from azft.gate.judging import RowJudge
from azft.gate.workers.messages import BLOCK, SLOTS, Assignment, Ended, Made, Unable
from azft.gate.workers.tasks import Task
from azft.variables import module_path

LARGE = 256 << 20
"""Bytes of a split from which on it is read by several processes unless somebody says: a second of one of them."""
MOST = 4
"""Workers that are started without being asked for: what puts their rows in order has no time for more."""
ANSWERS = 256
"""Answers of a worker that are heard before they are wanted: of a gigabyte of rows."""
LOOK = 0.1
_SILENCE = object()
_log = logging.getLogger("azft.data")


def workers_for(parts: Sequence[Part], asked: int | None) -> int:
    """Return how many processes read the parts: as many as were asked for, or what their size and this machine say."""
    if asked is not None:
        return asked
    return min(cores(), MOST) if sum(part.size for part in parts) >= LARGE else 1


class Workers:
    """Some processes, which divide the tasks of all splits; used with `with`, and none is left after the block.

    `able` says whether they can do it: every split needs tasks, and a function that stands in the user's own program is
    not known to them.
    """

    def __init__(
        self, tasks: Mapping[str, Sequence[Task]], judge: RowJudge, *, keep: bool, folder: Path, number: int
    ) -> None:
        ordered = [task for some in tasks.values() for task in some]
        number = min(number, len(ordered))
        self.able = number > 1 and all(tasks.values())
        self._turns = {task: divmod(turn, number) for turn, task in enumerate(ordered)} if self.able else {}
        self._asides = [str(folder / f"worker-{worker}.") for worker in range(number)]
        self._orders = [
            Assignment(ordered[worker::number], judge, keep, self._asides[worker]) for worker in range(number)
        ]
        self._workers: list[_Worker] = []
        self._open = ExitStack()

    def __enter__(self) -> Workers:
        if not self.able:
            return self
        try:
            orders = [pickle.dumps(order) for order in self._orders]
        except Exception as error:  # noqa: BLE001 - whatever a class of the user's does when it is taken along
            self._unable(f"{type(error).__name__}: {error}")
            return self
        try:
            self._workers = [self._open.enter_context(_Worker()) for _order in orders]
            for worker, order in zip(self._workers, orders, strict=True):
                worker.tell(order)
            said = [worker.first_word() for worker in self._workers]
        except BaseException:
            self._open.close()
            raise
        for answer in said:
            if isinstance(answer, Unable):
                self._unable(answer.why)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def made(self, split: str, tally: Tally) -> Iterator[tuple[Made, memoryview]]:
        """Yield what is made of a split, and its lines, which are there until the next is asked for; count it all."""
        for task, (turn, number) in self._turns.items():
            if task.split != split:
                continue
            worker = self._workers[number]
            aside = Path(f"{self._asides[number]}{turn}")
            while isinstance(answer := worker.hear(), Made):
                with worker.lines(answer, aside) as lines:
                    yield answer, lines
                worker.free(answer)
            aside.unlink(missing_ok=True)
            if isinstance(answer, Exception):
                raise answer
            assert isinstance(answer, Ended), answer  # noqa: S101 - a worker says nothing else
            tally.add(answer.tally)

    def _unable(self, why: str) -> None:
        _log.info("the data is read by this process alone: %s", why)
        self.able = False


class _Worker:
    """One process, the connection to it, and the blocks that it shares with this one."""

    def __init__(self) -> None:
        self._heard: queue.Queue[Any] = queue.Queue(ANSWERS)
        self._gone = False

    def __enter__(self) -> _Worker:
        with ExitStack() as stack:
            file = _memory(stack)
            self._blocks = mmap.mmap(file, SLOTS * BLOCK)
            self._talk, theirs = Pipe()
            stack.callback(theirs.close)
            # It finds what this process finds, and nothing of the folder that it happens to be in.
            program = "azft.gate.workers.worker"
            command = [sys.executable, "-P", "-m", program, str(theirs.fileno()), str(file)]
            # NumPy's threads would be of no use there, and each of them takes its time to start.
            environment = {
                **os.environ,
                "OPENBLAS_NUM_THREADS": "1",
                "PYTHONPATH": module_path(),
            }
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, pass_fds=(theirs.fileno(), file), env=environment
            )
        self._ear = threading.Thread(target=self._listen, name="azft-worker", daemon=True)
        self._ear.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._gone = True
        self._process.kill()
        self._process.wait()
        self._ear.join()
        self._talk.close()

    def _listen(self) -> None:
        """Hear the worker out: one that is ahead is not held up by its answers, up to so many of them."""
        while not self._gone:
            try:
                answer = self._talk.recv()
            except (EOFError, OSError):
                answer = _SILENCE
            while not self._gone:
                try:
                    self._heard.put(answer, timeout=LOOK)
                    break
                except queue.Full:
                    continue
            if answer is _SILENCE:
                return

    def tell(self, order: bytes) -> None:
        """Hand it an assignment."""
        # One that has ended already has nothing to say, which is heard.
        with suppress(BrokenPipeError, ConnectionResetError):
            self._talk.send(sys.path)
            self._talk.send_bytes(order)

    def hear(self) -> Any:
        """Return what the worker says next; `DatasetError` if it ended without a word."""
        answer = self._heard.get()
        if answer is _SILENCE:
            raise self._ended()
        return answer

    def first_word(self) -> Any:
        """Return what the worker says of its assignment; one that could not even start is unable."""
        answer = self._heard.get()
        return Unable(f"it ended with code {self._process.wait()}") if answer is _SILENCE else answer

    def lines(self, made: Made, aside: Path) -> memoryview:
        """Return the lines of what was made."""
        if made.slot >= 0:
            start = made.slot * BLOCK
            return memoryview(self._blocks)[start : start + made.size]
        if not made.size:
            return memoryview(b"")
        with aside.open("rb") as file:
            file.seek(made.offset)
            return memoryview(file.read(made.size))

    def free(self, made: Made) -> None:
        """Give the block back."""
        if made.slot >= 0:
            # Where it has ended, what it said before that is still to be heard.
            with suppress(BrokenPipeError, ConnectionResetError):
                self._talk.send(made.slot)

    def _ended(self) -> DatasetError:
        code = self._process.wait()
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        return DatasetError(
            f"a process that reads data {how}",
            hint="signal 9 mostly means that memory ran out: workers=1 takes the least",
        )


def _memory(stack: ExitStack) -> int:
    """Return the descriptor of memory that another process can be given; of a file without a name where that fails."""
    file = os.memfd_create("azft-rows") if hasattr(os, "memfd_create") else _nameless()
    stack.callback(os.close, file)
    os.ftruncate(file, SLOTS * BLOCK)
    return file


def _nameless() -> int:
    file, name = tempfile.mkstemp()
    os.unlink(name)
    return file
