"""Start a process that outlives everybody, hand it its secrets by pipe, and write down how it ended.

`python -m azft.backends.local.supervise` reads a line of JSON and starts itself again in a session of its own, which
starts the process and waits for it. Nothing secret is ever on a command line, in an environment or in a file.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

ENDED = "ended.json"
"""In the process's folder: how it ended, and when; as Python tells it, a signal is a number below 0."""


def main() -> None:
    """Start the process of the order on standard input, or become the one that waits for it."""
    order = json.loads(sys.stdin.readline())
    if not order.pop("detached", False):
        _hand_over([sys.executable, "-m", "azft.backends.local.supervise"], {**order, "detached": True}, session=True)
        return
    _hand_over(order["command"], order["secrets"], ended=Path(order["folder"]) / ENDED)


def _hand_over(command: list[str], message: object, *, session: bool = False, ended: Path | None = None) -> None:
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=session) as process:
        assert process.stdin is not None  # noqa: S101 - a pipe was asked for
        try:
            process.stdin.write(json.dumps(message).encode() + b"\n")
            process.stdin.close()
        except BrokenPipeError:
            pass  # It has ended already; how, is written below.
        if ended is None:
            os._exit(0)
        code = process.wait()
    with contextlib.suppress(FileNotFoundError):  # Where the folder is gone, nobody asks how it ended.
        aside = ended.with_name(f".{ended.name}.{os.getpid()}-0.tmp")
        aside.write_text(json.dumps({"code": code, "pid": process.pid}), encoding="ascii")
        aside.replace(ended)


if __name__ == "__main__":
    main()
