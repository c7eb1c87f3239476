"""A watch that holds: whatever passes is waited out, every end is told, and the way back is said (rows A8 to A13)."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from azft import FineTuneSession, RunEvent, RunResult, RunStatus, RunWatcher
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.logs import read_log
from azft.errors import BackendError, RunCanceledError, RunError, RunFailedError, RunTimeoutError
from azft.testing.contract import small_job
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import CLUSTER, SIZE, asked, submitted

WATCHES = sorted((Path(__file__).parent / "data" / "watches").glob("*.json"))


pytestmark = pytest.mark.shared


def watched(backend: AzureMLBackend, run: Any, **limits: Any) -> tuple[RunResult | RunError, list[RunEvent]]:
    """Return how a watch ended, and everything that it said."""
    said: list[RunEvent] = []
    try:
        return RunWatcher(backend, progress=False, observe=said.append).watch(run, **limits), said
    except RunError as error:
        return error, said


def begin_now(emulator: AzureMLEmulator, job: str) -> None:
    """Let a job's script begin at this moment, whatever time its preparation took."""
    document = emulator.jobs.get(job)
    emulator.world.state.put("jobs", job, {**document, "submitted": emulator.clock.now()})


SOME = ("failed_in_a_nested_pipeline", "not_responding_once", "one_401", "one_404_of_details")
"""The records that the default suite replays; CI replays all of them."""


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem in SOME else pytest.mark.slow) for path in WATCHES],
    ids=lambda path: path.stem,
)
def test_a_recorded_watch_ends_as_it_must(backend: AzureMLBackend, emulator: AzureMLEmulator, path: Path) -> None:
    record = json.loads(path.read_text(encoding="utf-8"))
    states = tuple((float(at), str(word)) for at, word in record.get("states", ()))
    emulator.script(evolve(Outcome(**record["outcome"]), states=states))
    run = submitted(backend)
    begin_now(emulator, run.id)
    for fault in record.get("faults", ()):
        body = fault.pop("body", None)
        emulator.fault(fault.pop("method", ""), fault.pop("path"), body=body.encode() if body else None, **fault)
    ended, said = watched(backend, run, timeout=60)
    status = ended.status
    assert status == record["ends"]
    told = [event.message for event in said if event.kind in {"state", "warning"}]
    for wanted in record["says"]:
        assert any(wanted in message for message in told), told
    kinds = {"completed": RunResult, "failed": RunFailedError, "canceled": RunCanceledError}
    assert isinstance(ended, kinds[record["ends"]])
    if "error" in record:
        assert record["error"] in str(ended)
    assert [event.message for event in said if event.kind == "status"][-1] == record["ends"]


def test_a_fault_that_stays_ends_the_watch_after_the_stated_time_and_says_how_to_return(
    emulator: AzureMLEmulator,
) -> None:
    backend = AzureMLBackend(poll=0.05, patience=1.0)
    emulator.script(Outcome("completed", seconds=1000))
    run = submitted(backend)
    emulator.fault("", "/history/", status=404, code="UserError", message="Run not found", times=None)
    began = time.monotonic()
    with pytest.raises(BackendError, match="Run not found") as raised:
        RunWatcher(backend, progress=False).watch(run)
    assert 1.0 <= time.monotonic() - began < 20
    assert f"session.watch(session.attach('{run.id}'))" in "".join(raised.value.__notes__)


@pytest.mark.parametrize("fault", [{"delay": 30.0}, {"reset": True, "times": None}, {"status": 503, "times": None}])
def test_the_timeout_bounds_the_look_itself(
    backend: AzureMLBackend, emulator: AzureMLEmulator, fault: dict[str, Any]
) -> None:
    emulator.script(Outcome("completed", seconds=1000))
    run = submitted(backend)
    emulator.fault("", "/history/.*/children", **fault)
    began = time.monotonic()
    ended, _said = watched(backend, run, timeout=2)
    assert isinstance(ended, RunTimeoutError)
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_the_timeout_holds_where_mlflow_is_silent(
    backend: AzureMLBackend, emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azft.backends.azureml.watching.METRICS_WITHIN", 0.2)
    run = submitted(backend)
    emulator.fault("", "/mlflow/", delay=20.0, times=None)
    began = time.monotonic()
    events = list(backend.events(run, timeout=30))
    assert events[-1].message == RunStatus.COMPLETED
    assert time.monotonic() - began < 15


def test_a_job_that_waits_says_why_and_the_queue_has_its_own_limit(
    backend: AzureMLBackend, emulator: AzureMLEmulator
) -> None:
    emulator.place_compute(
        CLUSTER, size=SIZE, allocation="Resizing", errors=[("OutOfCapacity", "no machines in this region")]
    )
    emulator.script(Outcome("queued"))
    run = submitted(backend)
    ended, said = watched(backend, run, timeout=60, queue_timeout=1)
    assert isinstance(ended, RunTimeoutError)
    told = " ".join(event.message for event in said if event.kind == "state")
    assert "waiting for compute" in told
    assert f"cluster {CLUSTER}: 0 of 2 machines, Resizing; it tells: OutOfCapacity: no machines in this region" in told
    assert "has not begun after the time given" in str(ended)
    assert "OutOfCapacity" in str(ended)
    assert backend.result(run).status is RunStatus.QUEUED


@pytest.mark.slow
def test_the_queue_limit_does_not_end_what_has_begun(backend: AzureMLBackend, emulator: AzureMLEmulator) -> None:
    emulator.script(Outcome("completed", seconds=2.5))
    ended, _said = watched(backend, submitted(backend), queue_timeout=1)
    assert isinstance(ended, RunResult)


def test_a_serverless_job_that_waits_says_what_the_quota_has(tmp_path: Path) -> None:
    with AzureMLEmulator(used={"standardNCADSA100v4Family": 190}) as emulator:
        emulator.script(Outcome("queued"))
        backend = AzureMLBackend(poll=0.05)
        run = backend.submit(small_job(backend, tmp_path, compute=SIZE))
        told = [event.message for event in backend.events(run, timeout=1) if event.kind == "state"]
    assert "190 of 200 cores of standardNCADSA100v4Family are in use" in " ".join(told)


def test_the_sign_in_is_renewed_where_it_is_not_taken() -> None:
    with AzureMLEmulator() as emulator:
        emulator.place_compute(CLUSTER, size=SIZE)
        backend = AzureMLBackend(poll=0.05)
        emulator.script(Outcome("completed", seconds=1.0))
        run = submitted(backend)
        before = asked(emulator, "/oauth2/v2.0/token")
        emulator.fault(preset="signed out")
        assert isinstance(watched(backend, run)[0], RunResult)
        assert asked(emulator, "/oauth2/v2.0/token") > before


@pytest.mark.slow
def test_tokens_that_run_out_are_fetched_anew() -> None:
    with AzureMLEmulator(token_lifetime=2) as emulator:
        emulator.place_compute(CLUSTER, size=SIZE)
        emulator.script(Outcome("completed", seconds=4))
        backend = AzureMLBackend(poll=0.2)
        assert isinstance(watched(backend, submitted(backend))[0], RunResult)


def test_steps_of_nested_pipelines_are_told_and_evaluated(backend: AzureMLBackend, emulator: AzureMLEmulator) -> None:
    emulator.script(Outcome(nested=True, seconds=0))
    run = submitted(backend)
    stages = [event.stage for event in backend.events(run) if event.kind == "stage" and event.message == "started"]
    assert "chat_completion_finetune" in stages
    assert "ft_nlp_model_converter" in stages


def test_a_log_is_read_from_where_it_was_left(
    backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
) -> None:
    emulator.world.blobs.write("azureml-blobstore-emulated", "a.log", "one\ntwö\nthr".encode())
    address = emulator.world.blob_url("a.log")
    first = read_log(address, ended=False)
    assert first.lines == ("one", "twö")
    emulator.world.blobs.write("azureml-blobstore-emulated", "a.log", "one\ntwö\nthree\n".encode())
    second = read_log(address, first.end, ended=False)
    assert second.lines == ("three",)
    assert read_log(address, second.end).lines == ()
    assert read_log("http://127.0.0.1:9/gone", 5).lines is None


def test_ctrl_c_and_the_examples_cleanup_keep_the_paid_job(
    session: FineTuneSession, emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    emulator.script(Outcome("completed", seconds=1000))
    run = session.submit()

    def interrupt(*_all: Any, **_more: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(session.backend, "events", interrupt)
    with pytest.raises(KeyboardInterrupt):
        session.watch(run)
    report = session.cleanup()
    assert "stop_runs=True" in str(report)
    assert emulator.jobs.story(emulator.jobs.get(run.id)).status == "Running"


@pytest.mark.slow
def test_a_look_that_is_given_up_keeps_no_thread_that_blocks_the_end(
    backend: AzureMLBackend, emulator: AzureMLEmulator
) -> None:
    run = submitted(backend)
    emulator.fault("", "/history/", delay=20.0)
    list(backend.events(run, timeout=0.3))
    assert all(thread.daemon for thread in threading.enumerate() if thread.name.startswith("azft-look"))


def test_the_studio_link_names_the_workspace(backend: AzureMLBackend) -> None:
    run = submitted(backend)
    outputs = backend.result(run).outputs
    assert f"/runs/{run.id}?wsid=/subscriptions/" in outputs
    assert outputs.endswith("/workspaces/ws-emulated")


@pytest.mark.parametrize("path", [r"/children$", r"/runs/[0-9a-f-]{36}/details$"])
def test_a_look_that_fails_halfway_loses_nothing(backend: AzureMLBackend, emulator: AzureMLEmulator, path: str) -> None:
    """What a failed look has read is told by the next one: it was never told."""
    run = submitted(backend)
    emulator.fault("GET", path, status=404, code="UserError", times=2, after=1 if "runs" in path else 0)
    disturbed = [event for event in backend.events(run) if event.kind != "state"]
    assert disturbed == list(backend.events(run))
    assert any(event.kind == "progress" for event in disturbed)
    assert any(event.kind == "log" for event in disturbed)
