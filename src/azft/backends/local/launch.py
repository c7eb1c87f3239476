"""Start a process that outlives this one, with the few variables that it needs and its secrets by pipe."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from azft.backends.local.supervise import ENDED
from azft.variables import QUIET, allowed, sharing

_MEMORY = "as happens when the machine's memory runs out"


def start_detached(
    module: str,
    arguments: Sequence[object],
    log: Path,
    *,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Run `python -m module arguments` in a session of its own, its output appended to the log.

    The secrets are the first line of its standard input, as JSON. How it ends is written beside the log's folder or in
    it, see `ending`.
    """
    folder = Path(str(arguments[0]))
    (folder / ENDED).unlink(missing_ok=True)
    order = {
        "command": [sys.executable, "-m", module, *map(str, arguments)],
        "secrets": dict(secrets or {}),
        "folder": str(folder),
    }
    with os.fdopen(os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as output:
        subprocess.run(
            [sys.executable, "-m", "azft.backends.local.supervise"],
            input=json.dumps(order).encode() + b"\n",
            stdout=output,
            stderr=output,
            env={**sharing(allowed(os.environ)), **QUIET},
            check=True,
        )


def received_secrets() -> dict[str, str]:
    """Return the secrets that this process was handed; none for one that was started by hand."""
    line = "" if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty() else sys.stdin.readline()
    return {str(name): str(value) for name, value in json.loads(line or "{}").items()}


def ending(folder: Path) -> int | None:
    """Return the code with which the folder's last process ended, None while nobody knows."""
    try:
        return int(json.loads((folder / ENDED).read_text(encoding="ascii"))["code"])
    except (OSError, ValueError, KeyError):
        return None


def told(code: int | None) -> str:
    """Say how a process ended.

    >>> told(-9), told(1), told(None)
    ("killed by SIGKILL, as happens when the machine's memory runs out", 'ended with code 1', 'ended, nobody knows how')
    """
    if code is None:
        return "ended, nobody knows how"
    if code >= 0:
        return f"ended with code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"killed by {name}, {_MEMORY}" if -code == signal.SIGKILL else f"killed by {name}"
