"""Stage 3 with a script of the user's: start it, in one process or several, and keep what it saved."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import uuid
from pathlib import Path

from azft.domain.trainers import Script
from azft.engine.machine import gpus
from azft.errors import ConfigurationError
from azft.processes import LOOPBACK, end_sessions, free_port
from azft.rules.devices import processes_used
from azft.stages.context import StageContext
from azft.stages.scripts import CODE, end_script, remember
from azft.training.group import MEETING
from azft.training.saving import ADAPTER, MODEL
from azft.training.task import FILE, VARIABLE, CanceledError
from azft.variables import hub_secrets

LOOK = 0.2
GRACE = 10.0
"""Seconds that a script has to end after it was asked to."""
TAIL = 30
_MODULE = re.compile(r"(?:[A-Za-z_][\w.]*(?:Error|Exception|Exit|Interrupt|Warning)\b.*)")


class ScriptFailedError(RuntimeError):
    """The user's script did not end well; the message is the last thing it said."""


def run_script(context: StageContext, target: Path) -> None:
    """Run the script of the job to its end and keep what it saved as the tuned model.

    Errors: `CanceledError`; `ScriptFailedError` with the script's last line; `ConfigurationError` where it has saved
    nothing.
    """
    script = context.job.trainer.script
    assert script is not None  # noqa: S101 - only a job with a script comes here
    task = context.task
    task.checkpoints.mkdir(exist_ok=True)
    task.write(context.folder / FILE)
    size = processes_used(context.job.parameters, gpus())
    context.events.say("log", f"{script.name} begins" + (f" in {size} processes" if size > 1 else ""))
    _Ranks(context, script, size).run()
    keep_saved(context, script.name, target)


def keep_saved(context: StageContext, name: str, target: Path) -> None:
    """Keep what a script saved as the tuned model; `ConfigurationError` where it has saved nothing."""
    saved = context.task.output
    if not any((saved / part).is_dir() for part in (MODEL, ADAPTER)):
        raise ConfigurationError(
            f"{name} ended without saving a model",
            hint="call task.save(model) at its end, with task = azft.training.current_task()",
        )
    for part in saved.iterdir():
        part.rename(target / part.name)
    saved.rmdir()


class _Ranks:
    """The processes of a script; if one fails, all end."""

    def __init__(self, context: StageContext, script: Script, size: int) -> None:
        self._context = context
        self._script = script
        self._logs = [context.folder / "logs" / f"script-{rank}.log" for rank in range(size)]
        self._running: list[subprocess.Popen[bytes]] = []
        self._meeting = context.folder / f".meeting-{uuid.uuid4().hex}.tmp"

    def run(self) -> None:
        """Start all, and wait until they have ended."""
        end_script(self._context.folder)
        port = free_port() if len(self._logs) > 1 else 0
        try:
            for rank in range(len(self._logs)):
                self._running.append(self._started(rank, port))
                remember(self._context.folder, [process.pid for process in self._running])
            while (failed := self._ended()) is None:
                if self._context.task.canceled:
                    end_sessions(self._running, GRACE)
                    raise CanceledError
                self._context.live.update()
                time.sleep(LOOK)
        finally:
            # What they started is in their sessions, and may be there still.
            end_sessions(self._running)
        if failed >= 0:
            self._failed(failed, self._running[failed].returncode)

    def _started(self, rank: int, port: int) -> subprocess.Popen[bytes]:
        folder = self._context.folder
        size = len(self._logs)
        together = {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": str(size),
            "LOCAL_WORLD_SIZE": str(size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            # Loopback alone, and for azft's own parts a file in the place of a port that anybody could take.
            "GLOO_SOCKET_IFNAME": LOOPBACK,
            "NCCL_SOCKET_IFNAME": LOOPBACK,
            MEETING: f"file://{self._meeting}",
        }
        # The weights are here by now: what fetching them needed is no business of a script.
        known = {name: value for name, value in os.environ.items() if name not in hub_secrets(os.environ)}
        environment = {**known, VARIABLE: str(folder / FILE), **(together if size > 1 else {})}
        command = [sys.executable, "-u", str(folder / CODE / self._script.name), *self._script.arguments]
        with self._logs[rank].open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=folder / CODE,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _ended(self) -> int | None:
        """Return the rank that failed first, -1 when all ended well, None while they work."""
        codes = [process.poll() for process in self._running]
        failed = next((rank for rank, code in enumerate(codes) if code), None)
        return failed if failed is not None else None if None in codes else -1

    def _failed(self, rank: int, code: int) -> None:
        """Say what a process that failed said last, and leave its end in the log of the run."""
        lines = self._logs[rank].read_text(encoding="utf-8", errors="replace").splitlines()
        # Into the log of the run, where causes are looked for.
        print("\n".join(lines[-TAIL:]), file=sys.stderr, flush=True)  # noqa: T201
        last = lines[-1] if lines else "it said nothing"
        said = next((line for line in reversed(lines) if _MODULE.match(line)), last)
        how = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
        raise ScriptFailedError(f"{self._script.name} {how}: {said}")
