"""A script of the user's in a run's folder: its code, and the processes that it runs in."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

import orjson

from azft.domain.job import Job
from azft.errors import ConfigurationError
from azft.files import code_files, sha256_of_code, write_whole
from azft.processes import is_alive, signal_session, started
from azft.waiting import wait_until

CODE, PIDS = "code", "script.json"
"""Where a run's folder has the code of its script, and which processes it runs in."""


def keep_code(job: Job, folder: Path) -> None:
    """Copy a script and what goes with it: what is changed afterwards changes no run.

    `ConfigurationError` where it was changed since the job was built.
    """
    script = job.trainer.script
    if script is None:
        return
    for name, file in code_files(script.path, script.code).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, folder / name)
    if job.trainer.sha256 != sha256_of_code(folder / script.name, None if script.code is None else folder):
        raise ConfigurationError(f"{script.path} was changed since the job was built", hint="plan and submit again")


def remember(folder: Path, pids: list[int]) -> None:
    """Write down which processes the script of a run runs in."""
    write_whole(folder / PIDS, orjson.dumps([[pid, started(pid)] for pid in pids]))


def end_script(folder: Path) -> None:
    """End the script's processes whose worker is gone: nobody waits for them, and they would go on writing."""
    path = folder / PIDS
    known = orjson.loads(path.read_bytes()) if path.exists() else []
    alive = [(pid, since) for pid, since in known if since and is_alive(pid, since)]
    for pid, _since in alive:
        signal_session(pid, signal.SIGKILL)
    wait_until(lambda: not any(is_alive(pid, since) for pid, since in alive))
