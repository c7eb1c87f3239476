"""Whether a process lives, and which one it is: a number is used again, a number and a start time are not."""

from __future__ import annotations

import os

import psutil

SAME = 1.0
"""Seconds by which two readings of one start time may differ, as the clock of a machine is corrected."""


def started(pid: int | None = None) -> float:
    """Return when a process was started (seconds since 1970), this one without a number; 0 if there is none."""
    try:
        return float(psutil.Process(os.getpid() if pid is None else pid).create_time())
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return 0.0


def is_alive(pid: int, since: float = 0.0) -> bool:
    """Return whether the process runs; one that has ended and was not waited for yet does not.

    With `since`, another process that has the same number by now is not it.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return not since or abs(process.create_time() - since) <= SAME
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
