"""The folder of a process: held by a lock while the process works, and deleted under the same lock.

Asking for a lock makes its folder anew, so neither a process that starts late nor one that looks may bring back a
folder that was deleted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from azft.files import discard

WORKER, SERVER = "worker.lock", "server.lock"
"""What the process of a run, and that of an endpoint, holds in its folder while it lives."""


@contextmanager
def held(lock: Path, mark: str, *, within: float) -> Iterator[bool]:
    """Hold the lock for a block, and give whether its folder is there, as it is where the file `mark` is in it.

    Errors: `Timeout` where somebody else holds the lock for longer than `within` seconds.
    """
    folder, holds = lock.parent, FileLock(lock)
    try:
        if folder.is_dir():
            holds.acquire(timeout=within)
    except FileNotFoundError:  # It was deleted while this process waited.
        pass
    try:
        there = holds.is_locked and (folder / mark).is_file()
        yield there
        if holds.is_locked and not there:
            discard(folder)
    finally:
        holds.release()


def is_held(lock: Path) -> bool:
    """Whether a process holds the lock; it goes with the process, so a process id is never mistaken for another."""
    if not lock.parent.is_dir():
        return False
    try:
        with FileLock(lock).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except FileNotFoundError:
        return False


def discard_held(lock: Path, *, within: float) -> bool:
    """Remove the lock's folder, and return whether it could be: not while a process holds it for so many seconds.

    A process that starts meanwhile waits for the lock, and finds no folder.
    """
    try:
        with FileLock(lock).acquire(timeout=within):
            discard(lock.parent)
    except Timeout:
        return False
    except FileNotFoundError:  # Somebody else has removed it.
        return True
    return True
