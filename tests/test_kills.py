"""A run survives kill -9 of its worker or its parent, at any moment, with the very same weights."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from azft import FineTuneSession, Run
from azft.domain.parameters import ParameterValue
from azft.files import sha256_of_folder
from azft.testing.contract import SAMPLE
from tests.sampling import sampled

SETTINGS: dict[str, ParameterValue] = {
    "num_train_epochs": 4,
    "logging_steps": 1,
    "evaluation_strategy": "steps",
    "eval_steps": 2,
}
PARENT = """
import sys, azft
from azft.testing.contract import SAMPLE
session = azft.FineTuneSession(dataset=SAMPLE, percent=8, folder=sys.argv[1], progress=False, parameters={parameters!r})
run = session.submit()
print(run.id, flush=True)
session.watch(run)
"""


def session_in(folder: Path) -> FineTuneSession:
    return FineTuneSession(dataset=SAMPLE, percent=8, folder=folder, progress=False, parameters=SETTINGS)


def worker_of(folder: Path, run_id: str) -> psutil.Process | None:
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "azft.backends.local.worker" in words and str(folder / "runs" / run_id) in words:
            return process
    return None


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, float]:
    """Return the hash of the undisturbed run's weights, and how long it took in seconds."""
    session = session_in(tmp_path_factory.mktemp("undisturbed"))
    started = time.monotonic()
    run = session.submit()
    session.watch(run)
    return weights_of(session, run), time.monotonic() - started


def weights_of(session: FineTuneSession, run: Run) -> str:
    return sha256_of_folder(session.folder / "runs" / run.id / "finetune" / "model")


def kill_and_resume(folder: Path, moment: float, *, child: bool) -> tuple[FineTuneSession, Run]:
    command = [sys.executable, "-W", "ignore", "-c", PARENT.format(parameters=SETTINGS), str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        run_id = parent.stdout.readline().strip()
        time.sleep(moment)
        worker = worker_of(folder, run_id)
        if child and worker is not None:
            worker.kill()
        os.kill(parent.pid, signal.SIGKILL)
    session = session_in(folder)
    run = session.attach(run_id)
    session.watch(run)
    return session, run


def check(folder: Path, moment: float, *, child: bool, expected: str) -> None:
    session, run = kill_and_resume(folder, moment, child=child)
    assert weights_of(session, run) == expected
    assert not list((folder / "runs" / run.id).rglob("*.tmp"))
    versions = {session.register(run).version, session.register(run).version}
    assert versions == {"1"}
    assert session.evaluate(run).tuned.loss < session.evaluate(run).base.loss


@pytest.mark.parametrize(("share", "child"), [pytest.param(0.5, True, marks=pytest.mark.slow), (0.4, False)])
def test_a_killed_run_ends_with_the_same_weights(
    tmp_path: Path, undisturbed: tuple[str, float], share: float, child: bool
) -> None:
    expected, seconds = undisturbed
    check(tmp_path / "home", share * seconds, child=child, expected=expected)


@pytest.mark.slow
@pytest.mark.parametrize("number", sampled(range(14), range(7)))
def test_kills_at_random_moments(tmp_path: Path, undisturbed: tuple[str, float], number: int) -> None:
    expected, seconds = undisturbed
    moment = random.Random(number).uniform(0, seconds)
    check(tmp_path / "home", moment, child=number % 4 != 3, expected=expected)
