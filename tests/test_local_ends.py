"""How things end on this machine: killed, deleted under a watcher, in a folder that cannot be (rows R4, R6, R9)."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from filelock import FileLock

from azft import FineTuneSession, Run, RunFailedError, RunStatus
from azft.backends.local.holding import SERVER, discard_held, held, is_held
from azft.errors import AzftError, ConfigurationError
from azft.files import discard
from azft.testing.contract import SAMPLE
from tests.test_kills import worker_of


def small(folder: Path) -> FineTuneSession:
    parameters = {"num_train_epochs": 2, "logging_steps": 1}
    return FineTuneSession(dataset=SAMPLE, percent=8, folder=folder, parameters=parameters, progress=False)


@pytest.mark.parametrize("name", ["%41", "what?", "number#1", "new\nline"])
def test_a_folder_that_a_store_cannot_have_is_refused_at_once(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="give folder= another place"):
        FineTuneSession(folder=tmp_path / name)
    assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_a_worker_that_is_killed_again_and_again_is_told_closed_and_resumed(tmp_path: Path) -> None:
    session = small(tmp_path / "home")
    run = session.submit()
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            worker = worker_of(tmp_path / "home", run.id)
            if worker is not None:
                worker.kill()
            time.sleep(0.02)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(RunFailedError, match="the machine's main memory ran out") as raised:
            session.watch(run)
    finally:
        done.set()
        killer.join()
    assert "killed by SIGKILL" in str(raised.value)
    assert raised.value.diagnosis is not None
    assert raised.value.diagnosis.cause == "host-memory"
    assert session.backend.result(run).status is RunStatus.FAILED
    assert session.watch(session.resume(run)).status is RunStatus.COMPLETED
    session.cleanup(everything=True)


@pytest.mark.slow
def test_a_run_that_is_deleted_under_its_watcher_is_said_and_leaves_no_ghost(tmp_path: Path) -> None:
    home = tmp_path / "home"
    session = small(home)
    run = session.submit()
    ended: list[BaseException] = []

    def watch(watched: Run) -> None:
        try:
            small(home).watch(watched)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test looks at it
            ended.append(error)

    watcher = threading.Thread(target=watch, args=(run,))
    watcher.start()
    time.sleep(3)
    report = small(home).cleanup(everything=True)
    assert "stop_runs=True" in str(report)
    report = small(home).cleanup(everything=True, stop_runs=True)
    assert report.failed == ()
    watcher.join(60)
    assert len(ended) == 1
    assert isinstance(ended[0], AzftError)
    assert not (home / "runs" / run.id).exists()


@pytest.mark.parametrize("remains", [False, True])
@pytest.mark.parametrize(
    ("module", "arguments"),
    [("azft.backends.local.scoring.server", ["weights", "model:1", "0"]), ("azft.backends.local.worker", ["home"])],
)
def test_a_process_that_starts_after_its_folder_was_deleted_ends_and_brings_nothing_back(
    tmp_path: Path, module: str, arguments: list[str], remains: bool
) -> None:
    """As where a client is killed once it has started one, and cleanup finds nobody yet who holds the folder."""
    folder = tmp_path / "late"
    if remains:  # Of a look for the lock at the wrong moment.
        folder.mkdir()
    command = [sys.executable, "-W", "error", "-m", module, str(folder), *arguments]
    done = subprocess.run(command, input='{"key": "k"}\n', text=True, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_whoever_waits_for_a_folder_that_is_deleted_meanwhile_finds_none(tmp_path: Path) -> None:
    folder = tmp_path / "endpoint"
    folder.mkdir()
    (folder / "marks.json").write_text("{}")
    found: list[bool] = []

    def start() -> None:
        with held(folder / SERVER, "marks.json", within=20) as there:
            found.append(there)

    with FileLock(folder / SERVER):
        assert not discard_held(folder / SERVER, within=0.1)
        assert folder.is_dir()
        waiting = threading.Thread(target=start)
        waiting.start()
        time.sleep(0.3)
        discard(folder)
    waiting.join(20)
    assert found == [False]
    assert not folder.exists()
    assert not is_held(folder / SERVER)
    assert not folder.exists()
