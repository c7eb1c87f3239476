"""Start a process that outlives this one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LAUNCHER = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True)"
"""An intermediate process starts the real one and ends, so that nobody here has to wait for it."""
QUIET = {"MLFLOW_DISABLE_TELEMETRY": "true", "TOKENIZERS_PARALLELISM": "false"}


def start_detached(
    module: str, arguments: Sequence[object], log: Path, *, environment: Mapping[str, str] | None = None
) -> None:
    """Run `python -m module arguments` in a session of its own, its output appended to the log."""
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-c", _LAUNCHER, sys.executable, "-m", module, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **QUIET, **(environment or {})},
            check=True,
        )


def wait_until(done: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait for the condition and return whether it came true in time."""
    deadline = time.monotonic() + seconds
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
