"""A worker process: it reads and judges its stretches of a split, and hands the rows back in shared memory."""

from __future__ import annotations

import mmap
import pickle
import signal
import sys
from collections import deque
from collections.abc import Sequence
from multiprocessing.connection import Connection
from typing import Any

from azft.domain.rows import BadRow
from azft.errors import DatasetError
from azft.gate.batch import Batch, Recorder
from azft.gate.checking import Checker
from azft.gate.workers.messages import BLOCK, SLOTS, Assignment, Ended, Made, Unable
from azft.gate.workers.tasks import Task

TOLD = 200
"""Bad rows that are held before they are told."""


def main(arguments: Sequence[str]) -> None:
    """Work for the process at the other end of a connection: its file descriptor, and that of the shared blocks."""
    connection, blocks = map(int, arguments)
    # Ctrl-C goes to every process of a terminal; the one that started this one says what becomes of it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Connection(connection) as talk:
        try:
            _work(talk, blocks)
        except (BrokenPipeError, ConnectionResetError, EOFError):
            # Nobody is there any more who would want the rows.
            return


def _work(talk: Connection[Any, Any], blocks: int) -> None:
    sys.path[:] = talk.recv()
    given = talk.recv_bytes()
    try:
        assignment: Assignment = pickle.loads(given)  # noqa: S301 - from the process that started this one
    except Exception as error:  # noqa: BLE001 - whatever a class of the user's does when it is made anew
        talk.send(Unable(f"{type(error).__name__}: {error}"))
        return
    talk.send(None)
    rows = _Rows(talk, blocks)
    for number, task in enumerate(assignment.tasks):
        try:
            talk.send(_done(rows, assignment, number, task))
        except (BrokenPipeError, ConnectionResetError, EOFError):
            raise
        except Exception as error:  # noqa: BLE001 - told where it can be explained
            talk.send(_portable(error))
            return


def _done(rows: _Rows, assignment: Assignment, number: int, task: Task) -> Ended:
    rows.begin(f"{assignment.aside}{number}", large=task.size > SLOTS * BLOCK // 2)
    checker = Checker(task.split, assignment.judge, rows, rows, keep=assignment.keep)
    for chunk in task.read():
        checker.take(chunk)
    rows.flush()
    return Ended(checker.tally)


def _portable(error: Exception) -> Exception:
    """Return the error, or one that can be told to another process."""
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - made here
    except Exception:  # noqa: BLE001 - what an error of somebody else's does then
        return DatasetError(f"{type(error).__name__}: {error}")
    return error


class _Rows:
    """Puts lines into shared blocks as they come free, and tells of each when it is full.

    A small task waits for a free block. A large one goes on in a file instead, so that the worker is not held up by
    those that read what comes before it.
    """

    def __init__(self, talk: Connection[Any, Any], blocks: int) -> None:
        self._talk = talk
        self._shared = mmap.mmap(blocks, SLOTS * BLOCK)
        self._free = deque(range(SLOTS))
        self._recorder = Recorder()
        self._bad: list[BadRow] = []
        self._slot: int | None = None
        self._lines: list[bytes] = []
        self._filled = 0
        self._aside = ""
        self._written = 0
        self._large = False

    def begin(self, aside: str, *, large: bool) -> None:
        """Begin a task; at least one block is free then, so that no worker is more than a task ahead."""
        self._aside, self._written, self._large = aside, 0, large
        self._freed(wait=True)

    def take(self, rows: Batch, file: str) -> None:
        """Take rows of one file."""
        if not rows.lines:
            return
        size = sum(map(len, rows.lines))
        if self._filled + size > BLOCK:
            self.flush()
        if not self._filled:
            self._slot = self._chosen(size)
        self._recorder.take(rows, file)
        if self._slot is None:
            self._lines += rows.lines
        else:
            start = self._slot * BLOCK + self._filled
            for line in rows.lines:
                self._shared[start : (start := start + len(line))] = line
        self._filled += size

    def add(self, row: BadRow) -> None:
        """Take a row that cannot be used."""
        self._bad.append(row)
        if len(self._bad) >= TOLD:
            self.flush()

    def flush(self) -> None:
        """Tell of what is there."""
        if not self._filled and not self._bad:
            return
        slot, offset = (-1 if self._slot is None else self._slot), self._written
        if self._filled and self._slot is None:
            with open(self._aside, "ab") as file:
                file.writelines(self._lines)
            self._written += self._filled
            self._lines.clear()
        records, files = self._recorder.made()
        self._talk.send(Made(slot, offset, self._filled, records, files, tuple(self._bad)))
        self._bad.clear()
        self._filled, self._slot = 0, None

    def _chosen(self, size: int) -> int | None:
        """Return the block to fill; None for the file."""
        if size > BLOCK:
            return None
        self._freed(wait=not self._large)
        return self._free.popleft() if self._free else None

    def _freed(self, *, wait: bool) -> None:
        """Hear which blocks are free again."""
        while self._talk.poll() or (wait and not self._free):
            self._free.append(self._talk.recv())


if __name__ == "__main__":
    main(sys.argv[1:])
