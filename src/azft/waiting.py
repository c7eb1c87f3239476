"""Wait no longer than one wants to for what may never return, and look again for what may not be there yet."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Generic, Self, TypeVar

T = TypeVar("T")
LOOKS, PAUSE = 3, 0.4
"""How often a thing must not be found, and the seconds between, before it is gone."""


def looked_for(look: Callable[[], T | None]) -> T | None:
    """Return what is there, None only where several looks in a row find nothing.

    What was made a moment ago is not known everywhere at once: what is to be deleted is not given up for one 404.
    """
    found = look()
    for _again in range(LOOKS - 1):
        if found is not None:
            break
        time.sleep(PAUSE)
        found = look()
    return found


def wait_until(done: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for the condition and return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


class Repeating:
    """Calls something every few seconds in a thread of its own, while its block lasts."""

    def __init__(self, call: Callable[[], None], seconds: float, name: str) -> None:
        self._call = call
        self._seconds = seconds
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(self._seconds):
            self._call()


class Attempt(Generic[T]):
    """A call in a thread of its own; one that is given up is left alone, and ends with the process at the latest."""

    def __init__(self, call: Callable[[], T], name: str) -> None:
        self._call = call
        self._done = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None
        threading.Thread(target=self._run, name=name, daemon=True).start()

    def _run(self) -> None:
        try:
            self._value.append(self._call())
        except BaseException as error:  # noqa: BLE001 - it is raised again where the answer is wanted
            self._error = error
        finally:
            self._done.set()

    def wait(self, seconds: float | None) -> bool:
        """Return whether it has ended within that time, None for as long as it takes."""
        return self._done.wait(seconds)

    def answer(self) -> T:
        """Return what the call returned, or raise what it raised; only for one that has ended."""
        if self._error is not None:
            raise self._error
        return self._value[0]
