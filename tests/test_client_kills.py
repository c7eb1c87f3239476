"""kill -9 of the client: nothing that costs is lost, no plan runs twice, nothing foreign is touched (A3, R5)."""

from __future__ import annotations

import multiprocessing
import random
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

import azft
from azft import FineTuned, FineTuneSession
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.local.backend import LocalBackend
from azft.testing.contract import SAMPLE
from azft.testing.emulator import AzureMLEmulator
from tests.killing import STEPS, azure_client, local_client
from tests.workspaces import SIZE, renewed, session_of, snapshot

PHASES = ("create_compute", "submit", "register", "deploy")
ON_AZURE, HERE = 200, 60
"""Kills in all (`python -m tests.test_client_kills` makes them, in about twenty minutes), of which suites take some."""
SOME, FEW = 2, 1


def run_child(target: Callable[..., None], *arguments: Any) -> int | None:
    """Run a client in a process of its own, which has everything imported already; return how it ended."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["azft.session", "azure.ai.ml", "azft.backends.azureml.backend", "tests.killing"])
    child = context.Process(target=target, args=arguments)
    child.start()
    child.join(120)
    code = child.exitcode
    if code is None:
        child.kill()
    return code


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AzureMLEmulator, AzureMLBackend]]:
    with AzureMLEmulator(tmp_path_factory.mktemp("kills")) as emulator:
        renewed(emulator)
        emulator.place_compute("team", tags={"team": "search"})
        yield emulator, AzureMLBackend(instance_type=SIZE, poll=0.05)


def killed_on_azure(azure: tuple[AzureMLEmulator, AzureMLBackend], folder: Path, number: int) -> str:
    """Kill one client, check what must hold, and say where it died."""
    emulator, backend = azure
    random_moment = random.Random(number)
    phase = PHASES[number % len(PHASES)]
    chance = number % 3 == 0
    at = 0 if chance else 1 + (number // len(PHASES)) % 40
    after = random_moment.uniform(0.05, 4.0) if chance else 0.0
    place = folder / str(number)
    place.mkdir(parents=True)
    foreign = snapshot(emulator)["computes/team"]
    code = run_child(azure_client, emulator.environment(), str(place), phase, at, after)
    assert code in {-signal.SIGKILL, 0}, code
    session = session_of(backend, place)
    recorded = {entry.resource for entry in session._ledger.standing()}
    found = {
        item.resource for item in azft.sweep(backend).found if item.resource.kind in {"run", "endpoint", "compute"}
    }
    assert found <= recorded, f"{phase} {at} {after}: {found - recorded} is in no ledger"
    before = {job["name"] for job in emulator.jobs.all()}
    run = session.submit()
    assert len({job["name"] for job in emulator.jobs.all()} | before) - len(before - {run.id}) == 1
    session.cleanup(everything=True, stop_runs=True)
    assert azft.sweep(backend).found == (), f"{phase} {at} {after}"
    assert snapshot(emulator)["computes/team"] == foreign
    for job in emulator.world.state.names("jobs"):
        emulator.world.state.delete("jobs", job)
    shutil.rmtree(place)
    return f"{phase} at step {at or '-'} after {after:.2f} s: {'killed' if code else 'ended'}"


@pytest.mark.parametrize("number", range(SOME))
def test_a_killed_client_loses_nothing_on_azure(
    azure: tuple[AzureMLEmulator, AzureMLBackend], tmp_path: Path, number: int
) -> None:
    killed_on_azure(azure, tmp_path, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(SOME + 1, ON_AZURE, 14))
def test_more_killed_clients_lose_nothing_on_azure(
    azure: tuple[AzureMLEmulator, AzureMLBackend], tmp_path: Path, number: int
) -> None:
    killed_on_azure(azure, tmp_path, number)


def processes_of(home: Path) -> list[psutil.Process]:
    """Return the workers and servers of a folder."""
    return [
        process
        for process in psutil.process_iter(["cmdline"])
        if any(str(home) in word for word in process.info["cmdline"] or [])
        and "azft.backends.local" in " ".join(process.info["cmdline"] or [])
    ]


def killed_here(tuned: FineTuned, source: Path, folder: Path, number: int) -> str:
    """Kill one local client, check that cleanup finds whatever it left, and say where it died."""
    place = folder / str(number)
    home = place / "home"
    deploys = number % 2 == 0
    place.mkdir(parents=True)
    if deploys:
        shutil.copytree(source, home, ignore=shutil.ignore_patterns("runs", "endpoints", "data", "ledger*"))
    chance = number % 3 == 0
    at = 0 if chance else 1 + number % 12
    after = random.Random(number).uniform(0.05, 3.0) if chance else 0.0
    phase = f"{tuned.model.name}:{tuned.model.version}" if deploys else "submit"
    code = run_child(local_client, {}, str(place), phase, at, after)
    assert code in {-signal.SIGKILL, 0}, code
    session = FineTuneSession(dataset=SAMPLE, percent=8, folder=home, backend=LocalBackend(home), progress=False)
    if not deploys:
        first = session.submit()
        assert session.submit().id == first.id
        assert len(list(session.backend.home.runs.glob("run-*"))) == 1  # type: ignore[attr-defined]
    report = session.cleanup(everything=True, stop_runs=True)
    assert report.failed == (), report
    for process in processes_of(home):
        process.wait(20)
    left = [item for item in azft.sweep(session.backend).found if item.resource.kind != "model"]
    assert left == []
    shutil.rmtree(place)
    return (
        f"{'deploy' if deploys else 'submit'} at step {at or '-'} after {after:.2f} s: {'killed' if code else 'ended'}"
    )


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FEW))
def test_a_killed_client_leaves_nothing_here(
    tuned: FineTuned, small_session: FineTuneSession, tmp_path: Path, number: int
) -> None:
    killed_here(tuned, small_session.folder, tmp_path, number)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(FEW + 1, HERE, 10))
def test_more_killed_clients_leave_nothing_here(
    tuned: FineTuned, small_session: FineTuneSession, tmp_path: Path, number: int
) -> None:
    killed_here(tuned, small_session.folder, tmp_path, number)


def test_a_client_that_is_left_alone_has_many_steps(
    azure: tuple[AzureMLEmulator, AzureMLBackend], tmp_path: Path
) -> None:
    assert run_child(azure_client, azure[0].environment(), str(tmp_path), "deploy", 0, 0.0) == 0
    assert int((tmp_path / STEPS).read_text(encoding="ascii")) >= 30
    session_of(azure[1], tmp_path).cleanup(everything=True)


def main() -> None:
    """Make all of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with AzureMLEmulator(folder / "azure") as emulator:
            renewed(emulator)
            emulator.place_compute("team", tags={"team": "search"})
            azure = emulator, AzureMLBackend(instance_type=SIZE, poll=0.05)
            for number in range(ON_AZURE):
                sys.stdout.write(f"{number + 1} of {ON_AZURE}: {killed_on_azure(azure, folder / 'clients', number)}\n")
        settings = {"num_train_epochs": 1, "logging_steps": 1}
        session = FineTuneSession(
            dataset=SAMPLE, percent=8, parameters=settings, folder=folder / "home", progress=False
        )
        done = session.run()
        for number in range(HERE):
            sys.stdout.write(f"{number + 1} of {HERE}: {killed_here(done, session.folder, folder / 'here', number)}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
