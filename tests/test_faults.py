"""Scripted faults over every phase: each ends in the right state, with one of azft's errors or none.

`python -m tests.test_faults` writes the table of docs/faults.md. What is checked of each: the error, if there is one,
is azft's, names the fault itself and has a hint; where there is none, nothing is missing, or what is missing is told
with the fault; the same call succeeds once the fault has passed; and nothing is left that the ledger does not know, and
that cleanup does not take away.
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
from azft import CleanupReport, FineTuneSession, RegisteredModel, Run
from azft.backends.azureml.backend import AzureMLBackend
from azft.errors import AzftError
from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.faults import PAGE
from tests.workspaces import CLUSTER, SIZE, renewed, session_of

PAGE_DOC = Path(__file__).parents[1] / "docs" / "faults.md"
WIDEST = 150
"""Characters of a row's last column."""
SOON = {"x-ms-retry-after-ms": "5"}


@frozen
class Phase:
    """A step of the whole, the requests that it needs (method, path), what does it, and what is told where it succeeds.

    `told` returns what the user reads beside the result; for two calls without a fault it is the same. `before` is done
    before the fault.
    """

    name: str
    requests: tuple[tuple[str, str], ...]
    do: Callable[[World], Any]
    told: Callable[[Any], str] = lambda _result: ""
    before: Callable[[World], Any] = lambda _world: None


@frozen
class World:
    """What a phase works with."""

    session: FineTuneSession
    emulator: AzureMLEmulator
    run: Run
    model: RegisteredModel


def _with_a_job_that_runs(world: World) -> None:
    world.emulator.script(Outcome(seconds=600))
    world.session.submit(again=True)


def _cleaned_and_still_running(world: World) -> CleanupReport:
    """Clean up as one does without asking for runs to be stopped, and see that the one that runs goes on."""
    report = world.session.cleanup()
    jobs = world.emulator.jobs
    assert [job for job in jobs.all() if jobs.story(job).ended is None], "a job that ran was stopped"
    return report


def _with_machines(world: World) -> None:
    world.session.create_compute("ours", SIZE)
    world.session.deploy(world.model, "faulty")


def _watched(world: World) -> list[str]:
    """Return what a watch tells: every event, and what the result warns of; times and numbers of the run left out."""
    backend = world.session.backend
    events = [f"{event.kind} {event.stage} {event.message}" for event in backend.events(world.run, timeout=60)]
    result = world.session.watch(world.run, timeout=60)
    return sorted({*events, *result.warnings, f"metrics {sorted(result.metrics)}"})


PHASES = (
    Phase(
        "plan",
        (("GET", r"/computes/"), ("GET", r"/usages$"), ("GET", r"/vmSizes$"), ("GET", r"/registries/.*/models/")),
        lambda world: session_of(AzureMLBackend(poll=0.05), world.session.folder).plan(),
        lambda plan: "\n".join(map(str, plan.findings)),
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
        _watched,
        "\n".join,
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
        before=_with_a_job_that_runs,
    ),
    Phase(
        "keep",
        (("GET", r"/jobs/azft-"),),
        _cleaned_and_still_running,
        before=_with_a_job_that_runs,
    ),
    Phase(
        "delete",
        (("DELETE", r"/onlineEndpoints/[^/]+$"), ("DELETE", r"/computes/")),
        lambda world: world.session.cleanup(),
        before=_with_machines,
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
SAYS: dict[str, str] = {
    "reset once": "cannot be reached",
    "reset after it took effect": "cannot be reached",
    "cut": "broke off",
    "429 twice": "429",
    "503 for good": "503|did not answer within",  # MLflow's client waits for itself
    "401 for good": "401|ExpiredAuthenticationToken",
    "403 for good": "403|AuthorizationFailed",
    "404 once": "404|there is no|no such",
    "409 once": "409",
    "a page": "web page",
}
"""What must be read of each where it is not overcome."""
CASES = [(phase, request, kind) for phase in PHASES for request in phase.requests for kind in KINDS]


def name_of(case: tuple[Phase, tuple[str, str], str]) -> str:
    phase, (method, path), kind = case
    return f"{phase.name}: {method or 'any'} {path.strip('/$').replace(chr(92), '')}: {kind}"


def tried(world: World, case: tuple[Phase, tuple[str, str], str]) -> str:
    """Let the fault happen in its phase, check what must hold, and say in a few words how it ended."""
    phase, (method, path), kind = case
    session, emulator = world.session, world.emulator
    phase.before(world)
    faults = emulator.fault(method, path, **KINDS[kind])
    said = "done"
    result: Any = None
    try:
        result = phase.do(world)
        if isinstance(result, CleanupReport) and result.failed:
            said = f"kept in the ledger: {str(result.failed[0][1]).splitlines()[0]}"
            assert re.search(SAYS[kind], said), said
    except AzftError as error:
        said = f"{type(error).__name__}: {error.message.splitlines()[0]}"
        _check_it_is_explained(error, kind)
    finally:
        emulator.faults.clear()
    assert any(fault.met for fault in faults), "no request of this kind was made"
    again = phase.do(world)
    if said == "done" and (told := phase.told(result)) != (usual := phase.told(again)):
        more = sorted(set(told.splitlines()) - set(usual.splitlines()))
        found = [line for line in more if re.search(SAYS[kind], line)]
        assert found, f"told {more} in place of {sorted(set(usual.splitlines()) - set(told.splitlines()))}"
        said = f"done, and says: {found[0]}"
    _check_nothing_is_lost(session, emulator, world)
    return said


def _check_it_is_explained(error: AzftError, kind: str) -> None:
    assert re.search(SAYS[kind], error.message), error.message
    assert error.hint, f"no hint: {error.message}"


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
    """Try all of them, and write the table; or only those of whose name the argument is a part, and write nothing."""
    rows, wrong = [], []
    part = sys.argv[1] if len(sys.argv) > 1 else ""
    with tempfile.TemporaryDirectory() as name, AzureMLEmulator(Path(name) / "azure") as emulator:
        renewed(emulator)
        backend = AzureMLBackend(instance_type=SIZE, poll=0.05, patience=1.0)
        for number, case in enumerate(CASES, start=1):
            phase, (method, path), kind = case
            if part not in name_of(case):
                continue
            try:
                said = tried(world_of(emulator, backend, Path(name)), case)
            except AssertionError as error:
                said = f"WRONG: {error}"
                wrong.append(name_of(case))
            sys.stderr.write(f"{number} of {len(CASES)}: {name_of(case)}: {said}\n")
            shown = path.replace("|", "\\|")
            plain = re.sub(r"azft-[0-9a-f]{12}(-\d+)?", "azft-...", said).replace("|", "/").replace("<", "&lt;")
            plain = re.sub(r"[0-9a-f]{64}|(?<=fresh:)[0-9]+", "...", plain)
            plain = plain if len(plain) <= WIDEST else f"{plain[:WIDEST]}..."
            rows.append(f"| {phase.name} | `{method or 'any'} {shown}` | {kind} | {plain} |")
    if wrong:
        sys.exit(f"{len(wrong)} of {len(CASES)} end wrong: {wrong}")
    if not part:
        PAGE_DOC.write_text(HEAD + "\n".join(rows) + "\n", encoding="utf-8")


HEAD = """# Faults

<!-- Generated by python -m tests.test_faults. -->

What happens when a request fails, tried on the emulator with the unmodified Azure SDK. Each error names the fault and
has a hint (not shown here); the same call succeeds once the fault has passed; everything that costs money stands in the
ledger, and `session.cleanup()` takes it away. Here `patience` is one second; a watch waits ten minutes by default.

| phase | request | fault | how it ends |
| --- | --- | --- | --- |
"""


if __name__ == "__main__":
    main()
