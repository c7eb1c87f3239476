"""Nothing of somebody else's is changed or deleted, and nothing of ours is lost (rows A1 to A6, R5, R8)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

import azft
from azft import FineTuneSession, RegisteredModel, Resource, RunStatus
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.local.backend import LocalBackend
from azft.domain.jsonable import from_json, to_json
from azft.errors import (
    AzftError,
    BackendError,
    ComputeError,
    ConfigurationError,
    InUseError,
    NameTakenError,
    NotOursError,
)
from azft.ledger import Entry, Ledger
from azft.rules.marks import TOKEN
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import CLUSTER, SIZE, session_of, snapshot

pytestmark = pytest.mark.shared


@pytest.fixture
def foreign(emulator: AzureMLEmulator, backend: AzureMLBackend, model: RegisteredModel) -> dict[str, bytes]:
    """Put an endpoint with a deployment, a cluster, a model and a job of somebody else there; return their bytes."""
    made = backend.deploy(model, "prod-chat")
    state = emulator.world.state
    for kind, name in (("onlineEndpoints", "prod-chat"), ("deployments", "prod-chat/azft")):
        document = state.get(kind, name)
        assert document is not None
        state.put(kind, name, {**document, "tags": {"team": "search"}})
    endpoint = state.get("onlineEndpoints", "prod-chat")
    deployment = state.get("deployments", "prod-chat/azft")
    assert endpoint is not None
    assert deployment is not None
    endpoint["properties"]["traffic"] = {"blue": 100}
    state.put("onlineEndpoints", "prod-chat", endpoint)
    state.put("deployments", "prod-chat/blue", {**deployment, "name": "blue"})
    state.delete("deployments", "prod-chat/azft")
    emulator.place_compute("team", most=1, tags={"team": "search"})
    for job in state.names("jobs"):
        document = state.get("jobs", job)
        assert document is not None
        document["properties"]["tags"] = {"team": "search"}
        state.put("jobs", job, document)
    assert made.deployment == "azft"
    return snapshot(emulator)


def kept(before: dict[str, bytes], after: dict[str, bytes]) -> bool:
    """Return whether everything that was there is there, to the byte."""
    return all(after.get(name) == content for name, content in before.items())


class TestForeignThings:
    def test_an_endpoint_that_exists_is_refused_and_never_touched(
        self,
        foreign: dict[str, bytes],
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        model: RegisteredModel,
    ) -> None:
        with pytest.raises(NameTakenError, match="onto='prod-chat'"):
            session.deploy(model, "prod-chat")
        emulator.servers.fail_next("CUDA out of memory")
        with pytest.raises(BackendError, match="the GPU's memory is too small"):
            session.deploy(model, onto="prod-chat", traffic=30)
        with pytest.raises(NotOursError):
            session.backend.delete(Resource("endpoint", "prod-chat", "azureml"))
        with pytest.raises(NotOursError):
            session.backend.delete(Resource("endpoint", "prod-chat", "azureml", "a token"))
        session.cleanup(everything=True)
        azft.sweep(session.backend, delete=True, stop_runs=True)
        assert kept({k: v for k, v in foreign.items() if "models" not in k}, snapshot(emulator))

    @pytest.mark.parametrize("traffic", [0, 20, 100])
    def test_one_more_deployment_joins_and_leaves_the_rest_as_it_was(
        self,
        foreign: dict[str, bytes],
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        model: RegisteredModel,
        traffic: int,
    ) -> None:
        with session.deploy(model, onto="prod-chat", traffic=traffic) as joined:
            assert joined.ask("Hi")
            part = joined.endpoint.deployment
            now = json.loads(snapshot(emulator)["onlineEndpoints/prod-chat"])["properties"]["traffic"]
            assert {name: share for name, share in now.items() if share} == {
                name: share for name, share in (("blue", 100 - traffic), (part, traffic)) if share
            }
        assert kept(foreign, snapshot(emulator))
        assert [name for name in snapshot(emulator) if name.startswith("deployments/")] == [
            "deployments/prod-chat/blue"
        ]

    def test_a_cluster_that_exists_is_returned_where_it_fits_and_refused_where_it_does_not(
        self,
        foreign: dict[str, bytes],
        session: FineTuneSession,
        emulator: AzureMLEmulator,
    ) -> None:
        assert session.create_compute("team", SIZE, max_nodes=1).max_nodes == 1
        for size, nodes, tier in (
            (SIZE, 4, "Dedicated"),
            ("Standard_DS3_v2", 1, "Dedicated"),
            (SIZE, 1, "LowPriority"),
        ):
            with pytest.raises(NameTakenError, match="does not fit"):
                session.create_compute("team", size, max_nodes=nodes, tier=tier)
        with pytest.raises(NotOursError):
            session.backend.delete(Resource("compute", "team", "azureml"))
        session.cleanup(everything=True)
        assert kept(foreign, snapshot(emulator))

    def test_a_model_of_the_same_name_and_version_is_left(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
    ) -> None:
        run = session.submit()
        session.watch(run)
        mine = session.register(run, "shared")
        state = emulator.world.state
        document = state.get("models", f"shared:{mine.version}")
        assert document is not None
        state.put(
            "models", f"shared:{mine.version}", {**document, "properties": {**document["properties"], "tags": {}}}
        )
        before = snapshot(emulator)[f"models/shared:{mine.version}"]
        again = session.register(run, "shared")
        assert again.version != mine.version
        session.cleanup(everything=True)
        assert snapshot(emulator)[f"models/shared:{mine.version}"] == before

    def test_a_job_of_that_id_that_is_another_one_is_neither_changed_nor_taken_for_ours(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
    ) -> None:
        run = session.submit()
        state = emulator.world.state
        document = state.get("jobs", run.id)
        assert document is not None
        document["properties"]["tags"] = {"team": "search"}
        state.put("jobs", run.id, document)
        before = snapshot(emulator)[f"jobs/{run.id}"]
        other = session.submit()
        assert other.id == f"{run.id}-2"
        session.cleanup(everything=True, stop_runs=True)
        assert snapshot(emulator)[f"jobs/{run.id}"] == before

    def test_locally_a_name_that_exists_is_refused_and_a_foreign_token_deletes_nothing(self, tmp_path: Path) -> None:
        local = LocalBackend(tmp_path / "home")
        folder = local.home.endpoint("mine")
        folder.mkdir(parents=True)
        model_here = RegisteredModel("m", "1", "", "local")
        with pytest.raises(NameTakenError, match="an endpoint 'mine' already"):
            local._endpoints.serve(tmp_path, model_here, "mine")
        with pytest.raises(NotOursError):
            local.delete(Resource("endpoint", "mine", "local", "token"))
        assert folder.is_dir()


class TestIntent:
    def test_the_ledger_knows_before_the_first_request(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """At every PUT or POST that makes something, its name stands in the ledger already."""
        answer = emulator._router.answer
        unknown: list[str] = []

        def look(call: Any) -> Any:
            names = {entry.resource.name.rstrip(":") for entry in session._ledger.standing()}
            makes = call.method == "PUT" and any(
                part in call.path for part in ("/jobs/", "/computes/", "/onlineEndpoints/", "/models/")
            )
            if makes and not any(f"/{name.split('/')[0]}" in f"{call.path}/" for name in names):
                unknown.append(call.path)
            return answer(call)

        monkeypatch.setattr(emulator._router, "answer", look)
        session.create_compute("ours", SIZE)
        run = session.submit()
        session.watch(run)
        with session.deploy(session.register(run)):
            pass
        assert unknown == []
        kinds = {entry.resource.kind: entry.what for entry in session._ledger.standing()}
        assert kinds == {"compute": "made", "data": "made", "run": "made", "upload": "made", "model": "made"}

    def test_the_same_plan_finds_its_run_and_again_starts_another(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        backend: AzureMLBackend,
        tmp_path: Path,
    ) -> None:
        emulator.jobs.default = Outcome("completed", seconds=1000)
        plan = session.plan()
        run = session.submit(plan)
        found = session_of(backend, tmp_path / "elsewhere").submit()
        assert (found, found.id) == (run, run.id)
        assert "is already running since 20" in found.found
        assert "again=True starts another" in found.found
        other = session.submit(plan, again=True)
        assert (other.id, other.found) == (f"{run.id}-2", "")
        emulator.clock.advance(2000)
        assert "is completed" in session.submit(plan).found
        assert len(emulator.jobs.all()) == 2

    @pytest.mark.parametrize("ended", ["failed", "canceled", "deleted"])
    def test_one_that_failed_was_canceled_or_deleted_does_not_count(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        ended: str,
    ) -> None:
        emulator.jobs.default = Outcome(
            "failed" if ended == "failed" else "completed", seconds=0 if ended != "canceled" else 99
        )
        run = session.submit()
        if ended == "canceled":
            session.cancel(run)
        if ended == "deleted":
            session.cleanup()
        emulator.jobs.default = Outcome(seconds=0)
        other = session.submit()
        assert (other.id, other.found) == (f"{run.id}-2", "")

    @pytest.mark.parametrize("change", [{"percent": 9}, {"parameters": {"seed": 7}}, {"naming": "short"}])
    def test_another_plan_is_another_run(
        self,
        backend: AzureMLBackend,
        tmp_path: Path,
        change: dict[str, Any],
    ) -> None:
        first = session_of(backend, tmp_path / "a").submit()
        if "naming" in change:
            change = {"naming": azft.NamingScheme("short", lambda _context: "short", lambda _context: "other-name")}
        assert session_of(backend, tmp_path / "b", **change).submit().id != first.id

    def test_a_request_whose_answer_is_lost_makes_no_second_job(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
    ) -> None:
        emulator.fault("PUT", "/jobs/", reset=True, acted=True)
        run = session.submit()
        assert len(emulator.jobs.all()) == 1
        assert session.submit().id == run.id


class TestLedger:
    @pytest.mark.parametrize(
        "line",
        [
            b"garbage",
            b"\0" * 40,
            b'{"what": "made"}',
            b'{"what":"made","resource":{"kind":"pipeline","name":"x","backend":"local"},"session":"s","pid":1,"time":0}',
            b'{"what":"burnt","resource":{"kind":"run","name":"x","backend":"local"},"session":"s","pid":1,"time":0}',
            b"[]",
            b'"text"',
            b"\xff\xfe{}",
            b'{"what":"made","resource":{"kind":"run","na',
        ],
    )
    def test_a_bad_line_is_passed_over_and_reported(self, tmp_path: Path, line: bytes) -> None:
        session = FineTuneSession(folder=tmp_path, progress=False)
        session._ledger.made(Resource("data", "first", "local"))
        with (tmp_path / "ledger.jsonl").open("ab") as file:
            file.write(line + b"\n")
        session._ledger.made(Resource("data", "second", "local"))
        names = [entry.resource.name for entry in session._ledger.standing()]
        assert names == ["first", "second"]
        report = session.cleanup()
        assert [resource.name for resource in report.deleted] == ["second", "first"]
        assert "line 2" in str(report.unreadable)
        assert "not read: " in str(report)
        assert line in (tmp_path / "ledger.jsonl").read_bytes()

    def test_a_line_left_unfinished_spoils_no_other(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path)
        ledger.made(Resource("run", "one", "local"))
        with (tmp_path / "ledger.jsonl").open("ab") as file:
            file.write(b'{"what":"made","resour')
        ledger.made(Resource("run", "two", "local"))
        assert [entry.resource.name for entry in ledger.standing()] == ["one", "two"]

    def test_lines_of_the_first_release_are_read(self, tmp_path: Path) -> None:
        old = (
            '{"what":"made","resource":{"kind":"run","name":"r","backend":"local"},"session":"s","pid":1,"time":1.0}\n'
        )
        (tmp_path / "ledger.jsonl").write_text(old, encoding="utf-8")
        assert Ledger(tmp_path).standing()[0].resource == Resource("run", "r", "local")

    def test_a_token_survives_the_file(self) -> None:
        entry = Entry("intend", Resource("run", "r", "local", "t"), "s", 1, 0.0)
        assert from_json(Entry, to_json(entry)).resource.token == "t"

    @pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/etc", "a\0b", "../other"])
    def test_a_name_that_leaves_the_folder_deletes_nothing(self, tmp_path: Path, name: str) -> None:
        home = tmp_path / "home"
        (home / "data" / "kept").mkdir(parents=True)
        (tmp_path / "other").mkdir()
        session = FineTuneSession(folder=home, progress=False)
        session._ledger.made(Resource("data", name, "local"))
        report = session.cleanup(everything=True)
        assert report.deleted == ()
        assert len(report.failed) == 1
        assert (home / "data" / "kept").is_dir()
        assert (tmp_path / "other").is_dir()

    def test_a_folder_that_cannot_be_written_is_said_before_anything_is_made(self, tmp_path: Path) -> None:
        (tmp_path / "ledger.lock").mkdir()
        with pytest.raises(ConfigurationError, match="nothing is begun"):
            Ledger(tmp_path).made(Resource("run", "r", "local"))

    def test_a_process_that_has_the_number_again_is_not_the_one_that_wrote(self, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path)
        ledger.made(Resource("endpoint", "e", "local"))
        entry = ledger.standing()[0]
        assert not entry.orphaned
        assert evolve(entry, started=entry.started - 3600).orphaned


class TestUndoing:
    def test_both_errors_are_told_and_the_endpoint_stays_in_the_ledger(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        model: RegisteredModel,
    ) -> None:
        emulator.servers.fail_next("ModuleNotFoundError: No module named 'flash_attn'")
        emulator.fault("DELETE", "/onlineEndpoints/", status=409, code="Conflict", message="still updating", times=None)
        with pytest.raises(BackendError, match="a package is missing") as raised:
            session.deploy(model, "short-lived")
        assert "still updating" in "".join(raised.value.__notes__)
        standing = [entry.resource for entry in session._ledger.standing() if entry.resource.kind == "endpoint"]
        assert [resource.name for resource in standing] == ["short-lived"]
        assert "still updating" in str(session.cleanup().failed)
        emulator.faults.clear()
        assert Resource("endpoint", "short-lived", "azureml") in session.cleanup().deleted
        assert list(emulator.world.state.all("onlineEndpoints")) == []

    @pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
    def test_what_went_wrong_in_the_block_is_the_cause(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        model: RegisteredModel,
        error: type[BaseException],
    ) -> None:
        def block() -> None:
            with session.deploy(model, "short-lived"):
                emulator.fault("DELETE", "/onlineEndpoints/", status=500, times=None)
                raise error

        with pytest.raises(error) as raised:
            block()
        assert "short-lived may still be there, and cost money" in "".join(raised.value.__notes__)


class TestCleanup:
    def test_a_run_that_has_not_ended_is_kept_unless_told(
        self,
        session: FineTuneSession,
        emulator: AzureMLEmulator,
    ) -> None:
        emulator.jobs.default = Outcome("completed", seconds=1000)
        run = session.submit()
        report = session.cleanup(everything=True)
        assert "it is running; cleanup(stop_runs=True) stops it" in str(report)
        assert "still reads it" in str(report)
        assert session.backend.result(run).status is RunStatus.RUNNING
        report = session.cleanup(stop_runs=True)
        assert Resource("run", run.id, "azureml") in report.deleted
        assert emulator.jobs.story(emulator.jobs.get(run.id)).status == "Canceled"
        session.cleanup()
        assert emulator.world.blobs.names("azureml-blobstore-emulated", "azft/") == []

    def test_uploaded_data_goes_and_what_was_there_before_stays(
        self,
        backend: AzureMLBackend,
        emulator: AzureMLEmulator,
        tmp_path: Path,
    ) -> None:
        first, second = session_of(backend, tmp_path / "a"), session_of(backend, tmp_path / "b", parameters={"seed": 3})
        first.submit()
        second.submit()
        report = second.cleanup()
        assert [kind for kind, _why in ((resource.kind, why) for resource, why in report.kept)] == ["upload"] * 3
        assert len(emulator.world.blobs.names("azureml-blobstore-emulated", "azft/")) == 3
        first.cleanup()
        assert emulator.world.blobs.names("azureml-blobstore-emulated", "azft/") == []

    def test_a_file_that_a_running_job_reads_is_kept(
        self,
        backend: AzureMLBackend,
        emulator: AzureMLEmulator,
        tmp_path: Path,
    ) -> None:
        emulator.jobs.default = Outcome("completed", seconds=1000)
        session_of(backend, tmp_path / "a").submit()
        path, token, _since = next(iter(_uploads(backend)))
        upload = Resource("upload", path, "azureml", token)
        with pytest.raises(InUseError, match="still reads it"):
            backend.delete(upload)


def _uploads(connected: AzureMLBackend) -> list[tuple[str, str, float]]:
    from azft.backends.azureml.storage import Storage

    return Storage(connected._clients).uploaded()


class TestSweep:
    def test_everything_of_ours_is_found_without_a_ledger_and_nothing_else(
        self,
        foreign: dict[str, bytes],
        session: FineTuneSession,
        emulator: AzureMLEmulator,
        model: RegisteredModel,
    ) -> None:
        emulator.jobs.default = Outcome("completed", seconds=1000)
        session.create_compute("ours", SIZE)
        run = session.submit()
        session.deploy(model, "forgotten")
        session.deploy(model, onto="prod-chat", traffic=10)
        (session.folder / "ledger.jsonl").unlink()
        found = {item.resource.kind: item for item in session.leftovers()}
        assert set(found) == {"endpoint", "deployment", "compute", "run", "upload"}
        assert all(not item.recorded for item in found.values())
        assert found["endpoint"].price == pytest.approx(3.673, rel=0.5)
        assert "an hour, in no ledger here" in str(found["endpoint"])
        dry = azft.sweep(session.backend)
        assert (dry.deleted, len(dry.found)) == ((), 7)
        assert "prod-chat/azft-" in str(dry)
        swept = azft.sweep(session.backend, delete=True)
        assert "it has not ended; stop_runs=True stops it" in str(swept)
        assert session.backend.result(run).status is RunStatus.RUNNING
        azft.sweep(session.backend, delete=True, stop_runs=True)
        assert str(azft.sweep(session.backend)) == "nothing of azft's is left"
        assert kept({k: v for k, v in foreign.items() if "jobs" not in k}, snapshot(emulator))

    def test_locally_too(self, tmp_path: Path) -> None:
        session = FineTuneSession(folder=tmp_path / "home", progress=False)
        folder = LocalBackend(tmp_path / "home").home.endpoint("orphan")
        folder.mkdir(parents=True)
        assert [str(item.resource) for item in session.leftovers()] == ["endpoint orphan"]
        assert "orphan: not answering" in str(azft.sweep(session.backend))
        azft.sweep(session.backend, delete=True)
        assert not folder.exists()


def test_a_cluster_needs_room_in_every_quota(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, int], str, str]] = [
        ({"standardNCADSA100v4Family": 0}, "Dedicated", "standardNCADSA100v4Family is 0 cores"),
        ({"TotalDedicatedCores": 12}, "Dedicated", "TotalDedicatedCores is 12 cores"),
        ({"TotalLowPriorityCores": 0}, "LowPriority", "TotalLowPriorityCores is 0 cores"),
        ({"TotalClusters": 0}, "Dedicated", "0 of 0 clusters"),
    ]
    for quotas, tier, said in cases:
        with AzureMLEmulator(quotas=quotas) as emulator:
            connected = AzureMLBackend()
            with pytest.raises(ComputeError, match=said):
                connected.create_compute("mine", SIZE, tier=tier)
            assert list(emulator.world.state.all("computes")) == []


@pytest.mark.parametrize("name", ["1abc", "ab", "a" * 25, "cluster-1", "has_underscore", "ends-"])
def test_a_name_that_no_cluster_can_have_is_refused_before(backend: AzureMLBackend, name: str) -> None:
    with pytest.raises(ConfigurationError, match="3 to 24"):
        backend.create_compute(name, SIZE)


def test_a_token_is_on_everything_that_is_made(
    session: FineTuneSession,
    emulator: AzureMLEmulator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    session.create_compute("ours", SIZE)
    run = session.submit()
    session.watch(run)
    model_here = session.register(run)
    session.deploy(model_here, "ours-too")
    documents: dict[str, Any] = {name: json.loads(content) for name, content in snapshot(emulator).items()}
    place: Callable[[Any], Any] = lambda d: d.get("tags") or d["properties"].get("tags") or {}  # noqa: E731
    without = [name for name, document in documents.items() if TOKEN not in place(document)]
    assert without == [f"computes/{CLUSTER}"]
    with pytest.raises(AzftError):
        session.backend.delete(Resource("data", "x", "azureml"))
