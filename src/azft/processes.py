"""Whether a process lives."""

from __future__ import annotations

import psutil


def is_alive(pid: int) -> bool:
    """Return whether the process runs; one that has ended and was not waited for yet does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
