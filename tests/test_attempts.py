"""A run over several jobs: one whose machines were taken away, whoever looks at it, and whatever is done to it."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from azft import FineTuneSession, ModelSpec, Run, RunCanceledError, RunFailedError
from azft.backends.azureml.attempts import Attempts, restarted
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import lay_out_code
from azft.backends.azureml.environments import environment_of
from azft.backends.azureml.looking import Looking, Seen
from azft.backends.azureml.metrics import Measured
from azft.backends.azureml.storage import Storage
from azft.domain.compute import Compute
from azft.domain.model import Model
from azft.domain.run import RunEvent
from azft.domain.trainers import Script, Trainer
from azft.errors import NotOursError, RunError
from azft.flow.sweep import sweep
from azft.rules.compute import compute_findings
from azft.snapshot import RegistryVersion, job_environment
from azft.stages.mirror import Mirror, bring_back
from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.scripts import EVICTED
from azft.testing.emulator.world import CONTAINER
from azft.training import checkpoints
from azft.training.events import event_of, line_of
from tests.small_runs import replaced, sums
from tests.test_local_backend import own_model
from tests.test_scripts import STEPS

CLUSTER = "cpu-cluster"
TAKEN = Outcome(seconds=0, status="failed", error=EVICTED)
WORKS = Outcome(seconds=3600)
Made = Callable[..., FineTuneSession]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replaced(own_model(tmp_path_factory.mktemp("model") / "weights"), "llama")


@pytest.fixture
def azure(tmp_path: Path, weights: Path) -> Iterator[AzureMLEmulator]:
    known = [RegistryVersion("mine", "1", "2026-01-01", weights=str(weights))]
    with AzureMLEmulator(tmp_path / "azure", models=known) as started:
        started.place_compute(CLUSTER, size="Standard_DS3_v2")
        yield started


@pytest.fixture
def session(azure: AzureMLEmulator, tmp_path: Path) -> Made:
    def made(home: str = "home", spec: ModelSpec | None = None, **more: Any) -> FineTuneSession:
        return FineTuneSession(
            spec or ModelSpec("mine"),
            str(sums(tmp_path)),
            backend=more.pop("backend", None) or AzureMLBackend(poll=0.05),
            compute=CLUSTER,
            trainer="azft",
            parameters=STEPS,
            folder=tmp_path / home,
            progress=False,
        )

    return made


def jobs(azure: AzureMLEmulator) -> list[str]:
    return sorted(str(document["name"]) for document in azure.jobs.all())


def follow(azure: AzureMLEmulator, session: FineTuneSession, run: Run, number: int) -> None:
    """Watch the run until its job of that number is there."""
    for event in session.backend.events(run, poll=0.05, timeout=60):
        if restarted(run.id, number) in jobs(azure):
            return
        assert event.message != "failed"


def checkpointed(azure: AzureMLEmulator, run: Run) -> list[str]:
    return azure.world.blobs.names(CONTAINER, f"azft/checkpoints/{run.id}/")


def keep_one(azure: AzureMLEmulator, run: Run) -> None:
    azure.world.blobs.write(CONTAINER, f"azft/checkpoints/{run.id}/checkpoint-1/state.pt", b"state")


def test_a_run_that_works_is_not_resumed_and_one_that_was_canceled_cannot_be(
    azure: AzureMLEmulator, session: Made
) -> None:
    azure.script(WORKS, always=True)
    one = session()
    run = one.submit()
    assert one.resume(run) == run
    assert jobs(azure) == [run.id]
    one.cancel(run)
    with pytest.raises(RunError, match="is canceled"):
        one.resume(run)
    assert jobs(azure) == [run.id]


def test_two_watchers_make_one_job(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN)
    azure.script(WORKS, always=True)
    one = session()
    run = one.submit()
    assert isinstance(one.backend, AzureMLBackend)
    attempts = Attempts(one.backend._clients)
    assert attempts.restart(run.id, 1) == attempts.restart(run.id, 1) == restarted(run.id, 1)
    other = session("other")
    for watcher in (one, other):
        follow(azure, watcher, run, 1)
    assert jobs(azure) == [run.id, restarted(run.id, 1)]


def test_a_run_that_waits_for_its_next_job_is_found_by_the_same_plan(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN)
    one = session()
    run = one.submit()
    assert one.submit().id == run.id
    azure.script(WORKS, always=True)
    follow(azure, one, run, 1)
    assert jobs(azure) == [run.id, restarted(run.id, 1)]
    assert one.submit().id == run.id
    # It is one run in every list, and as one it is stopped.
    assert [(state.run.id, state.status) for state in one.runs()] == [(run.id, "running")]
    (left,) = (left for left in one.leftovers() if left.resource.kind == "run")
    assert (left.resource.name, left.state) == (run.id, "running")
    assert one.attach(restarted(run.id, 1)).id == run.id
    one.cancel(run)
    assert one.backend.result(run).status == "canceled"


def test_a_sweep_leaves_a_run_whose_second_job_works(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN)
    azure.script(WORKS, always=True)
    one = session()
    run = one.submit()
    follow(azure, one, run, 1)
    keep_one(azure, run)
    swept = sweep(one.backend, delete=True)
    assert run.id not in {resource.name for resource in swept.deleted}
    assert azure.jobs.story(azure.jobs.get(restarted(run.id, 1))).ended is None
    assert checkpointed(azure, run)
    one.cleanup(everything=True, stop_runs=True)
    assert not one.leftovers()
    assert not checkpointed(azure, run)


def test_what_was_put_away_is_not_submitted_again(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN)
    one = session()
    run = one.submit()
    one.cleanup(everything=True, stop_runs=True)
    assert list(one.backend.events(run, poll=0.05, timeout=60))[-1].message == "failed"
    assert jobs(azure) == [run.id]


def test_a_run_that_waits_for_its_next_job_can_be_canceled(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN)
    one = session()
    run = one.submit()
    assert one.backend.state(run.id).status == "queued"  # type: ignore[union-attr]
    one.cancel(run)
    assert one.backend.state(run.id).status == "canceled"  # type: ignore[union-attr]
    with pytest.raises(RunCanceledError):
        one.watch(run)
    with pytest.raises(RunError, match="is canceled"):
        one.resume(run)
    assert jobs(azure) == [run.id]
    assert azure.jobs.get(run.id)["properties"]["tags"]["azft.stopped"] == "true"


def test_a_cancel_between_look_and_submission_ends_the_new_job(
    azure: AzureMLEmulator, session: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever watches has looked, then the run is canceled, then the watcher submits the next job."""
    azure.script(TAKEN)
    azure.script(WORKS, always=True)
    one, other = session(), session(home="other")
    run = one.submit()
    restart = Attempts.restart

    def canceled_first(attempts: Attempts, run_id: str, number: int) -> str:
        other.cancel(run)
        return restart(attempts, run_id, number)

    monkeypatch.setattr(Attempts, "restart", canceled_first)
    with pytest.raises(RunCanceledError):
        one.watch(run)
    story = azure.jobs.story(azure.jobs.get(restarted(run.id, 1)))
    assert story.status in {"Canceled", "CancelRequested"}
    assert "azft.stopped" not in azure.jobs.get(restarted(run.id, 1))["properties"]["tags"]


def test_a_cancel_counts_for_those_who_would_go_on(azure: AzureMLEmulator, session: Made) -> None:
    """One who would not submit again himself cancels a run that others watch."""
    azure.script(TAKEN)
    run = session().submit()
    session(home="other", backend=AzureMLBackend(poll=0.05, restarts=0)).cancel(run)
    assert list(session().backend.events(run, poll=0.05, timeout=60))[-1].message == "canceled"
    assert jobs(azure) == [run.id]


def test_losses_are_told_by_the_log_alone(azure: AzureMLEmulator, session: Made) -> None:
    """MLflow may have them before the log is there; told by both they would be there twice."""
    azure.script(WORKS, always=True)
    one = session()
    run = one.submit()
    assert isinstance(one.backend, AzureMLBackend)
    for _wait in range(100):
        look = Looking(one.backend._clients, run, Seen(), lambda _names: ([Measured("loss", 1.5, 1, 0.0)], "")).take()
        if look.status == "running":
            break
        time.sleep(0.1)
    assert look.status == "running"
    assert not [event for event in look.events if event.kind == "progress"]


def test_restarts_end(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(TAKEN, always=True)
    one = session(backend=AzureMLBackend(poll=0.05, restarts=2))
    run = one.submit()
    with pytest.raises(RunFailedError, match="low-priority machines were taken away"):
        one.watch(run)
    assert jobs(azure) == [run.id, restarted(run.id, 1), restarted(run.id, 2)]
    assert one.backend.state(run.id).status == "failed"  # type: ignore[union-attr]
    assert restarted(run.id, 2) in one.backend.result(run).outputs


def test_another_failure_is_not_tried_again(azure: AzureMLEmulator, session: Made) -> None:
    azure.script(Outcome(seconds=0, status="failed", error="CUDA out of memory. Tried to allocate 2 GiB"), always=True)
    one = session()
    with pytest.raises(RunFailedError, match="memory"):
        one.watch(one.submit())
    assert len(jobs(azure)) == 1


def test_checkpoints_without_a_run_are_left_over_and_swept(azure: AzureMLEmulator, session: Made) -> None:
    azure.world.blobs.write(CONTAINER, "azft/checkpoints/azft-gone/checkpoint-3/state.pt", b"state")
    azure.world.blobs.write(CONTAINER, "somebody/checkpoints/x/checkpoint-3/state.pt", b"state")
    one = session()
    assert [left.resource.name for left in one.leftovers()] == ["azft/checkpoints/azft-gone"]
    sweep(one.backend, delete=True)
    assert not one.leftovers()
    assert azure.world.blobs.names(CONTAINER, "somebody/")
    assert isinstance(one.backend, AzureMLBackend)
    for place in ("azft/checkpoints", "azft/checkpoints/", "azft", "somebody/checkpoints/x", ""):
        with pytest.raises(NotOursError):
            Storage(one.backend._clients).remove_below(place)


def test_a_job_that_is_submitted_again_asks_for_the_same(azure: AzureMLEmulator, session: Made) -> None:
    """Nothing goes back that the service has added: the default output, its links, its own properties."""
    azure.script(TAKEN)
    azure.script(WORKS, always=True)
    one = session()
    run = one.submit()
    document = azure.jobs.get(run.id)
    properties = document["properties"]
    # As `az ml job show` prints them (azureml-examples): what the service adds to a command.
    properties["outputs"]["default"] = {
        "jobOutputType": "uri_folder",
        "uri": f"azureml://x/ExperimentRun/dcid.{run.id}",
    }
    properties["services"] = {"Studio": {"jobServiceType": "Studio", "endpoint": "https://ml.azure.com/runs/x"}}
    properties["properties"] = {"StartTimeUtc": "2026-01-01", "ContentSnapshotId": "x"}
    properties["queueSettings"] = {"jobTier": "Null"}
    for name in ("trained_model", "report"):
        properties["outputs"][name]["uri"] = f"azureml://datastores/x/paths/azureml/{run.id}/{name}/"
    azure.world.state.put("jobs", run.id, document)
    follow(azure, one, run, 1)
    again = azure.jobs.get(restarted(run.id, 1))["properties"]
    for name in ("command", "codeId", "environmentId", "computeId", "distribution", "inputs"):
        assert again[name] == properties[name], name
    assert again["resources"]["shmSize"] == properties["resources"]["shmSize"]
    assert set(again["outputs"]) == {"trained_model", "report", "checkpoints"}
    kept, before = (told["outputs"]["checkpoints"] for told in (again, properties))
    assert kept["uri"].partition("/datastores/")[2] == before["uri"].partition("/datastores/")[2]
    assert kept["mode"] == before["mode"]
    assert not again["outputs"]["report"].get("uri")
    assert not again.get("services")
    assert not again.get("queueSettings")
    assert not {"StartTimeUtc", "ContentSnapshotId"} & set(again.get("properties") or {})
    assert {name: value for name, value in again["tags"].items() if name != "azft.run"} == properties["tags"]


# The mirror of checkpoints.


def sealed(folder: Path, step: int, size: int = 10) -> Path:
    place = folder / f"checkpoint-{step}"
    place.mkdir(parents=True)
    (place / "state.pt").write_bytes(bytes(size))
    (place / "trainer_state.json").write_bytes(
        orjson.dumps({"best_model_checkpoint": f"/gone/checkpoints/checkpoint-{step}"})
    )
    checkpoints.seal(place)
    return place


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


@pytest.mark.parametrize("torn", [b"", b'{"state', b"null"])
def test_a_torn_seal_is_no_seal(tmp_path: Path, torn: bytes) -> None:
    mounted, folder = tmp_path / "mounted", tmp_path / "here"
    sealed(mounted, 1)
    (sealed(mounted, 2) / "sealed.json").write_bytes(torn)
    folder.mkdir()
    bring_back(mounted, folder)
    assert names(folder) == ["checkpoint-1"]
    assert checkpoints.newest_whole(folder) == folder / "checkpoint-1"
    state = orjson.loads((folder / "checkpoint-1" / "trainer_state.json").read_bytes())
    assert state["best_model_checkpoint"] == str(folder / "checkpoint-1")
    # The next copy makes the torn one whole, and writes nothing into the one that is.
    before = (mounted / "checkpoint-1" / "trainer_state.json").stat().st_mtime_ns
    sealed(folder, 2)
    Mirror(folder, mounted, print).copy()
    assert checkpoints.is_whole(mounted / "checkpoint-2")
    assert (mounted / "checkpoint-1" / "trainer_state.json").stat().st_mtime_ns == before


def test_what_the_training_has_removed_goes_once_a_newer_one_is_there(tmp_path: Path) -> None:
    mounted, folder = tmp_path / "mounted", tmp_path / "here"
    one, two = sealed(folder, 1), sealed(folder, 2)
    mirror = Mirror(folder, mounted, print)
    mirror.copy()
    assert names(mounted) == ["checkpoint-1", "checkpoint-2"]
    for path in (one, two):
        shutil.rmtree(path)
    mirror.copy()
    assert names(mounted) == ["checkpoint-2"]  # The newest stays, though it is gone here.
    sealed(folder, 3)
    mirror.copy()
    assert names(mounted) == ["checkpoint-3"]


def test_a_mount_that_fails_is_said_once_and_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounted, folder = tmp_path / "mounted", tmp_path / "here"
    sealed(folder, 1)
    said: list[str] = []
    monkeypatch.setattr("azft.stages.mirror.EVERY", 0.01)
    mounted.write_bytes(b"in the way")
    with Mirror(folder, mounted, said.append):
        for _wait in range(500):
            if said:
                break
            time.sleep(0.01)
        mounted.unlink()
        for _wait in range(500):
            if names(mounted):
                break
            time.sleep(0.01)
    assert len(said) == 1
    assert "outlive" in said[0]
    assert checkpoints.is_whole(mounted / "checkpoint-1")


# What a job tells, and what it is told.


def test_an_event_is_found_behind_what_others_left_open() -> None:
    event = RunEvent(1.0, "progress", "finetune", "a line\u2028of two", 3, 10, {"loss": 1.5})
    assert event_of(f"  30%|### | 3/10 [00:01<00:02]{line_of(event)}") == event
    assert event_of("azft-event nothing") is None
    assert event_of("something else") is None


def test_the_users_chat_template_goes_along_and_no_local_path(session: Made, azure: AzureMLEmulator) -> None:
    azure.script(WORKS, always=True)
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    one = session(spec=ModelSpec("mine", chat_template=template))
    run = one.submit()
    job = azure.jobs.get(run.id)["properties"]
    place = job["inputs"]["order"]["uri"].partition("/paths/")[2]
    order = azure.world.blobs.path(CONTAINER, place).read_text()
    assert orjson.loads(order)["job"]["model"]["chat_template"] == template
    assert str(one.folder.parent) not in order
    assert str(one.folder.parent) not in str(job)
    assert job["tags"]["azft.dataset"].startswith("file://")


def test_a_refused_environment_is_a_finding(session: Made, azure: AzureMLEmulator) -> None:
    azure.fault("GET", "environments", status=403, times=50)
    plan = session().plan()
    assert any(finding.code.startswith("AZFT-A") for finding in plan.errors)


def test_a_size_that_nobody_knows_is_said() -> None:
    found = compute_findings("c", Compute("c", "Standard_New"), Model("m", id="azureml://x"), own=True)
    assert "AZFT-C013" in {finding.code for finding in found}


def test_a_scripts_version_takes_the_place_of_azfts() -> None:
    made = environment_of(Trainer("s", Script("train.py", packages=["Accelerate==1.10.0", "azureml_mlflow==1.61.0"])))
    assert {name for name in made.packages if name.lower().startswith(("accel", "azureml"))} == {
        "Accelerate",
        "azureml_mlflow",
    }


def test_the_image_has_what_the_code_imports(tmp_path: Path) -> None:
    """Every module of another package that the code of a job names is in the pinned set, or required by it."""
    lay_out_code(tmp_path, None)
    lazily = {"azure", "datasets", "gguf", "fastapi", "starlette", "uvicorn", "liger_kernel", "flash_attn"}
    wanted = set()
    for path in [*(tmp_path / "azft").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            names_of = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names_of += [node.module] if isinstance(node, ast.ImportFrom) and node.module and not node.level else []
            wanted |= {name.partition(".")[0] for name in names_of}
    wanted -= set(sys.stdlib_module_names) | {"azft"} | lazily
    places = importlib.metadata.packages_distributions()
    there: set[str] = set()
    asked = [name.lower() for name in job_environment().packages]
    while asked:
        name = asked.pop()
        if name in there:
            continue
        there.add(name)
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        asked += [re.split(r"[^A-Za-z0-9._-]", need)[0].lower() for need in needs if "extra ==" not in need]
    plain = {re.sub(r"[-_.]+", "-", name) for name in there}
    missing = {
        module
        for module in wanted
        if not any(re.sub(r"[-_.]+", "-", dist.lower()) in plain for dist in places.get(module, []))
    }
    assert missing == set()


def test_clients_are_made_once(azure: AzureMLEmulator) -> None:
    assert isinstance(AzureMLBackend()._clients, Clients)
