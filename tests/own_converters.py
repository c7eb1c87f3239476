"""Converters of a user's own, in a module that other processes can import; each does what one may do, or suffer."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from typing import Any

MARK = "Question number 700?"


def plain(row: Mapping[str, Any]) -> Any:
    """Return the messages, and say so, as a function that is being tried does."""
    if is_marked(row):
        print("the marked row")  # noqa: T201 - a user may
    return row["messages"]


def dies(row: Mapping[str, Any]) -> Any:
    """End this process at one row as the kernel does when memory runs out."""
    if is_marked(row):
        os.kill(os.getpid(), signal.SIGKILL)
    return row["messages"]


def runs_out(row: Mapping[str, Any]) -> Any:
    """Fail in a way that no row is to blame for."""
    if is_marked(row):
        raise MemoryError("no more")
    return row["messages"]


def interrupts(row: Mapping[str, Any]) -> Any:
    """Press Ctrl-C in the process that waits for this one."""
    if is_marked(row):
        os.kill(os.getppid(), signal.SIGINT)
        time.sleep(60)
    return row["messages"]


def waits(row: Mapping[str, Any]) -> Any:
    """Never come to an end."""
    if is_marked(row):
        time.sleep(600)
    return row["messages"]


def is_marked(row: Mapping[str, Any]) -> bool:
    """Return whether it is the one row that is different."""
    return bool(row["messages"][0]["content"] == MARK)
