"""`python -m azft.testing.emulator [--folder FOLDER] [--as-of DATE] [--outcome STATUS] [-- COMMAND ...]`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import threading

from azft.testing.emulator.emulator import AzureMLEmulator
from azft.testing.emulator.scripts import Outcome

OUTCOMES = ("completed", "failed", "canceled", "queued")


def main(arguments: list[str]) -> int:
    """Run a command inside an emulator and return its exit status; without one, print what to export and wait."""
    options, command = arguments, []
    if "--" in arguments:
        at = arguments.index("--")
        options, command = arguments[:at], arguments[at + 1 :]
    parser = argparse.ArgumentParser("python -m azft.testing.emulator", usage="%(prog)s [options] [-- COMMAND ...]")
    parser.add_argument("--folder", help="keep everything here; a second emulator on it carries on")
    parser.add_argument("--as-of", default="", help="the registry and machine sizes of that day, such as 2024-05-01")
    parser.add_argument("--outcome", choices=OUTCOMES, help="end every job this way at once, without training")
    chosen = parser.parse_args(options)
    with AzureMLEmulator(chosen.folder, as_of=chosen.as_of) as emulator:
        if chosen.outcome:
            emulator.script(Outcome(chosen.outcome, seconds=0), always=True)
        if command:
            return subprocess.run(command, env=dict(os.environ), check=False).returncode
        for name, value in emulator.environment().items():
            sys.stdout.write(f"export {name}={shlex.quote(value)}\n")
        sys.stdout.write("# Ctrl-C stops the emulator.\n")
        sys.stdout.flush()
        ended = threading.Event()
        for wanted in (signal.SIGINT, signal.SIGTERM):
            signal.signal(wanted, lambda *_: ended.set())
        ended.wait()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
