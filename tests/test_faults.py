"""Scripted faults over every phase: each ends in the right state, with one of azft's errors or none.

`python -m tests.test_faults` writes the table of docs/faults.md. What is checked of each: the error, if there is one,
is azft's; and nothing is left that the ledger does not know, and that cleanup does not take away once the fault has
passed.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen

import azft
from azft import FineTuneSession, RegisteredModel, Run
from azft.backends.azureml.backend import AzureMLBackend
from azft.errors import AzftError
from azft.testing.emulator import AzureMLEmulator
from azft.testing.emulator.faults import PAGE
from tests.workspaces import CLUSTER, SIZE, renewed, session_of

PAGE_DOC = Path(__file__).parents[1] / "docs" / "faults.md"
SOON = {"x-ms-retry-after-ms": "5"}


@frozen
class Phase:
    """A step of the whole, the requests that it needs (method, path), and what does it."""

    name: str
    requests: tuple[tuple[str, str], ...]
    do: Callable[[World], Any]


@frozen
class World:
    """What a phase works with."""

    session: FineTuneSession
    emulator: AzureMLEmulator
    run: Run
    model: RegisteredModel


PHASES = (
    Phase(
        "plan",
        (("GET", r"/computes/"), ("GET", r"/usages$"), ("GET", r"/vmSizes$"), ("GET", r"/registries/.*/models/")),
        lambda world: session_of(AzureMLBackend(poll=0.05), world.session.folder).plan(),
    ),
    Phase("create_compute", (("PUT", r"/computes/"),), lambda world: world.session.create_compute("ours", SIZE)),
    Phase(
        "submit",
        (("PUT", r"\.blob\."), ("POST", r"/listSecrets$"), ("PUT", r"/jobs/"), ("GET", r"/jobs/azft-")),
        lambda world: world.session.submit(again=True),
    ),
    Phase(
        "watch",
        (("GET", r"/history/.*/details$"), ("GET", r"/history/.*/children$"), ("", r"/mlflow/"), ("GET", r"std_log")),
        lambda world: world.session.watch(world.run, timeout=60),
    ),
    Phase(
        "register",
        (("PUT", r"/models/"), ("GET", r"/models/[^/]+/versions/")),
        lambda world: world.session.register(world.run, "fresh"),
    ),
    Phase(
        "deploy",
        (
            ("PUT", r"/onlineEndpoints/[^/]+$"),
            ("PUT", r"/deployments/"),
            ("POST", r"/listKeys$"),
            ("GET", r"/onlineEndpoints/[^/]+$"),
        ),
        lambda world: world.session.deploy(world.model, "faulty").delete(),
    ),
    Phase(
        "cleanup",
        (("POST", r"/cancel$"), ("GET", r"/jobs/azft-"), ("DELETE", r"\.blob\.")),
        lambda world: world.session.cleanup(stop_runs=True),
    ),
)
KINDS: dict[str, dict[str, Any]] = {
    "reset once": {"reset": True},
    "reset after it took effect": {"reset": True, "acted": True},
    "cut": {"cut": True},
    "429 twice": {"status": 429, "code": "TooManyRequests", "headers": SOON, "times": 2},
    "503 for good": {"status": 503, "code": "ServiceUnavailable", "headers": SOON, "times": None},
    "401 for good": {"status": 401, "code": "ExpiredAuthenticationToken", "times": None},
    "403 for good": {"status": 403, "code": "AuthorizationFailed", "times": None},
    "404 once": {"status": 404, "code": "ResourceNotFound"},
    "409 once": {"status": 409, "code": "Conflict"},
    "a page": {"status": 200, "body": PAGE, "headers": {"content-type": "text/html"}},
}
CASES = [(phase, request, kind) for phase in PHASES for request in phase.requests for kind in KINDS]


def name_of(case: tuple[Phase, tuple[str, str], str]) -> str:
    phase, (method, path), kind = case
    return f"{phase.name}: {method or 'any'} {path.strip('/$').replace(chr(92), '')}: {kind}"


def tried(world: World, case: tuple[Phase, tuple[str, str], str]) -> str:
    """Let the fault happen in its phase, check what must hold, and say in a few words how it ended."""
    phase, (method, path), kind = case
    session, emulator = world.session, world.emulator
    emulator.fault(method, path, **KINDS[kind])
    said = "done"
    try:
        found = phase.do(world)
        if phase.name == "cleanup" and found.failed:
            said = f"kept in the ledger: {str(found.failed[0][1]).splitlines()[0][:90]}"
    except AzftError as error:
        said = f"{type(error).__name__}: {error.message.splitlines()[0][:90]}"
    finally:
        emulator.faults.clear()
    _check_nothing_is_lost(session, emulator, world)
    return said


def _check_nothing_is_lost(session: FineTuneSession, emulator: AzureMLEmulator, world: World) -> None:
    """Whatever costs money stands in the ledger, and cleanup takes it away now that the fault is over."""
    known = {entry.resource for entry in session._ledger.standing()}
    found = {
        item.resource for item in azft.sweep(session.backend).found if item.resource.kind in {"endpoint", "compute"}
    }
    assert found <= known, found - known
    report = session.cleanup(stop_runs=True)
    assert report.failed == (), report
    left = [item for item in azft.sweep(session.backend).found if item.resource.kind in {"endpoint", "compute"}]
    assert left == []
    running = [job["name"] for job in emulator.jobs.all() if emulator.jobs.story(job).ended is None]
    assert running == []


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AzureMLEmulator, AzureMLBackend, Path]]:
    folder = tmp_path_factory.mktemp("faults")
    with AzureMLEmulator(folder / "azure") as emulator:
        renewed(emulator)
        yield emulator, AzureMLBackend(instance_type=SIZE, poll=0.05, patience=1.0), folder


def world_of(emulator: AzureMLEmulator, backend: AzureMLBackend, folder: Path) -> World:
    renewed(emulator)
    session = session_of(backend, folder / "home", compute=CLUSTER)
    run = session.submit(again=True)
    return World(session, emulator, run, session.register(run, "ready"))


SAMPLE, MORE = CASES[::55], CASES[7::11]
"""What the default suite tries, and what CI does after it; all of them take eight minutes."""


@pytest.mark.parametrize("case", SAMPLE, ids=name_of)
def test_a_fault_ends_in_the_right_state(
    place: tuple[AzureMLEmulator, AzureMLBackend, Path], case: tuple[Phase, tuple[str, str], str]
) -> None:
    tried(world_of(*place), case)


@pytest.mark.slow
@pytest.mark.parametrize("case", MORE, ids=name_of)
def test_every_other_fault_too(
    place: tuple[AzureMLEmulator, AzureMLBackend, Path], case: tuple[Phase, tuple[str, str], str]
) -> None:
    tried(world_of(*place), case)


def test_there_are_enough_of_them() -> None:
    assert len(CASES) >= 120


def main() -> None:
    """Try all of them, and write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name, AzureMLEmulator(Path(name) / "azure") as emulator:
        renewed(emulator)
        backend = AzureMLBackend(instance_type=SIZE, poll=0.05, patience=1.0)
        for number, case in enumerate(CASES, start=1):
            phase, (method, path), kind = case
            said = tried(world_of(emulator, backend, Path(name)), case)
            sys.stderr.write(f"{number} of {len(CASES)}: {name_of(case)}: {said}\n")
            shown = path.replace("|", "\\|")
            plain = re.sub(r"azft-[0-9a-f]{12}(-\d+)?", "azft-...", said).replace("|", "/").replace("<", "&lt;")
            plain = re.sub(r"[0-9a-f]{64}", "...", plain)
            rows.append(f"| {phase.name} | `{method or 'any'} {shown}` | {kind} | {plain} |")
    PAGE_DOC.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


HEAD = """# Faults

<!-- Generated by python -m tests.test_faults. -->

What happens when a request fails, tried on the emulator with the unmodified Azure SDK. After each of them everything
that costs money stands in the ledger, and `session.cleanup()` takes it away. Here `patience` is one second; a watch
waits ten minutes by default.

| phase | request | fault | how it ends |
| --- | --- | --- | --- |
"""


if __name__ == "__main__":
    main()
