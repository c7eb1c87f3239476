"""How things end on this machine: killed, deleted under a watcher, in a folder that cannot be (rows R4, R6, R9)."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from azft import FineTuneSession, Run, RunFailedError, RunStatus
from azft.errors import AzftError, ConfigurationError
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
