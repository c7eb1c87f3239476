"""Show how far long work is: a bar on a terminal, a line now and then elsewhere, or nothing."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

EVERY = 5.0
"""Seconds between two lines where nothing can be redrawn."""


class Steps(Protocol):
    """Is told what is being done, and how much of it is done."""

    def stage(self, name: str, total: int | None = None) -> None:
        """Begin a stage; `total` is how much there is to do, None if that is not known."""
        ...

    def advance(self, done: int) -> None:
        """Count so much more as done."""
        ...


_WANTED: ContextVar[bool] = ContextVar("azft_progress", default=False)
MEGABYTE = 1_000_000


@contextmanager
def wanted(*, enabled: bool) -> Iterator[None]:
    """Let what happens in the block show its progress, however deep it is, or keep it quiet."""
    before = _WANTED.set(enabled)
    try:
        yield
    finally:
        _WANTED.reset(before)


class Transfer:
    """Counts bytes that threads send or receive, and tells whole megabytes."""

    def __init__(self, steps: Steps, name: str, total: int) -> None:
        self._steps = steps
        self._bytes = 0
        self._lock = threading.Lock()
        steps.stage(f"{name}, MB", -(-total // MEGABYTE))

    def add(self, count: int) -> None:
        """Count so many more bytes."""
        with self._lock:
            before, self._bytes = self._bytes, self._bytes + count
            whole = self._bytes // MEGABYTE - before // MEGABYTE
        if whole > 0:
            self._steps.advance(whole)

    def hook(self) -> Callable[[int, int | None], None]:
        """Return what a client tells how far one blob is: bytes so far, and in all."""
        told = 0

        def hear(now: int, _total: int | None) -> None:
            nonlocal told
            self.add(max(now - told, 0))
            told = max(now, told)

        return hear


@contextmanager
def shown(*, enabled: bool | None = None) -> Iterator[Steps]:
    """Give what fits where the output goes; it writes to standard error, so that results can be piped.

    Without `enabled` it is as the block around it wants it.
    """
    if not (_WANTED.get() if enabled is None else enabled):
        yield _Silent()
    elif not sys.stderr.isatty():
        yield _Lines()
    else:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        columns: list[Any] = [TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn()]
        with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as progress:
            yield _Bar(progress)


class _Silent:
    def stage(self, name: str, total: int | None = None) -> None:
        pass

    def advance(self, done: int) -> None:
        pass


class _Lines:
    def __init__(self) -> None:
        self._name = ""
        self._total: int | None = None
        self._done = 0
        self._last = time.monotonic()

    def stage(self, name: str, total: int | None = None) -> None:
        self._name, self._total, self._done = name, total, 0

    def advance(self, done: int) -> None:
        self._done += done
        if time.monotonic() - self._last >= EVERY:
            self._last = time.monotonic()
            of = f" of {self._total:,}" if self._total else ""
            sys.stderr.write(f"{self._name}: {self._done:,}{of}\n")
            sys.stderr.flush()


class _Bar:
    def __init__(self, progress: Any) -> None:
        self._progress = progress
        self._task = progress.add_task("", total=None)

    def stage(self, name: str, total: int | None = None) -> None:
        self._progress.reset(self._task, description=name, total=total)

    def advance(self, done: int) -> None:
        self._progress.advance(self._task, done)
