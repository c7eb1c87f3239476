"""Processes: whether one lives, which one it is (a number is used again, a start time with it is not), and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence

import psutil

LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
"""The network interface of this machine alone."""
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


def signal_session(leader: int, number: signal.Signals) -> None:
    """Signal all processes of a session, those too that made a group of their own; one that has ended is fine."""
    for process in psutil.process_iter():
        try:
            if os.getsid(process.pid) == leader:
                process.send_signal(number)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue


def end_sessions(leaders: Sequence[subprocess.Popen[bytes]], grace: float = 0.0) -> None:
    """End processes that each lead a session, and all that they started, after `grace` seconds to do so themselves."""
    until = time.monotonic() + grace
    for leader in leaders if grace else ():
        signal_session(leader.pid, signal.SIGTERM)
    while time.monotonic() < until and any(leader.poll() is None for leader in leaders):
        time.sleep(0.05)
    for leader in leaders:
        signal_session(leader.pid, signal.SIGKILL)
        leader.wait()


def free_port() -> int:
    """Return a port of the loopback that nobody uses now."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])
