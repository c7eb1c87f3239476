"""Run a program inside the emulator and know every address it connected to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

HOOK = """
import os, sys
def _watch(event, arguments):
    if event == "socket.connect":
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else "127.0.0.1"
    elif event == "socket.getaddrinfo":
        host = arguments[0]
    else:
        return
    if isinstance(host, bytes):
        host = host.decode()
    with open({log!r}, "a") as log:
        log.write(f"{{host}}\\n")
sys.addaudithook(_watch)
"""
LOOPBACK = {"127.0.0.1", "::1", "localhost", "None"}


def run_watched(folder: Path, *command: str, as_of: str = "") -> tuple[str, set[str]]:
    """Return what the program printed, and the hosts off this machine that it or its children tried to reach."""
    log = folder / "contacts.txt"
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(HOOK.format(log=str(log)), encoding="utf-8")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "azft.testing.emulator",
            "--as-of",
            as_of,
            "--",
            sys.executable,
            "-W",
            "ignore",
            *command,
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "AZUREML_RUN_POLLING_INTERVAL_MAX": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout, set(log.read_text(encoding="utf-8").splitlines()) - LOOPBACK
