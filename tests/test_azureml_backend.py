"""The Azure ML backend against the emulator, under the unmodified SDK."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import evolve
from azure.ai.ml.constants._endpoint import EndpointInvokeFields

from azft import FineTuneSession, ModelSpec, RegisteredModel, Resource, Run, RunEvent, RunStatus, RunWatcher
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.endpoints import DEPLOYMENT
from azft.backends.azureml.signin import find_workspace
from azft.backends.azureml.states import status_of
from azft.backends.azureml.storage import Storage
from azft.errors import (
    AuthenticationError,
    BackendError,
    ConfigurationError,
    NotFoundError,
    RunCanceledError,
    RunError,
    RunFailedError,
    RunTimeoutError,
    UnsupportedError,
)
from azft.snapshot import RegistryVersion, registry_versions
from azft.testing.contract import SAMPLE, BackendContract, small_job
from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.services.history import RunHistory
from azft.testing.emulator.serving import SCRIPTED_ANSWER
from azft.testing.emulator.wire import Call, Reply

TAGGED = [entry for entry in registry_versions() if not entry.system_metadata and entry.version != "5"]
CLUSTER = "gpu-cluster"
SIZE = "Standard_NC24ads_A100_v4"


class TestAzureMLBackend(BackendContract):
    """The contract of every backend; its jobs really train."""

    compute = CLUSTER

    @pytest.fixture(scope="class")
    @classmethod
    def backend(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLBackend]:
        """Connect to an emulated workspace with a cluster."""
        with AzureMLEmulator(tmp_path_factory.mktemp("azureml")):
            backend = AzureMLBackend(instance_type=SIZE, poll=0.2)
            backend.create_compute(CLUSTER, SIZE, max_nodes=2)
            yield backend


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator(tmp_path / "azure") as started:
        started.script(Outcome(seconds=0), always=True)
        yield started


@pytest.fixture
def backend(emulator: AzureMLEmulator) -> AzureMLBackend:
    connected = AzureMLBackend(instance_type=SIZE, poll=0.05)
    connected.create_compute(CLUSTER, SIZE)
    emulator._application.requests.clear()
    return connected


def submitted(backend: AzureMLBackend, folder: Path) -> Run:
    return backend.submit(small_job(backend, folder, compute=CLUSTER))


def asked(emulator: AzureMLEmulator, part: str, method: str = "") -> int:
    return sum(part in request.path and method in ("", request.method) for request in emulator.requests)


class TestSigningIn:
    def test_a_failure_names_every_link_and_no_secret(
        self, emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AZURE_CLIENT_SECRET", "not-the-secret")
        signed_out = AzureMLBackend()
        with pytest.raises(AuthenticationError) as raised:
            signed_out.find_model(ModelSpec("Phi-4"))
        said = str(raised.value)
        assert "EnvironmentCredential: " in said
        assert "AADSTS7000215" in said
        assert "az login" in said
        assert "not-the-secret" not in said

    def test_the_parts_of_a_workspace_are_never_mixed_from_two_places(self, tmp_path: Path) -> None:
        config = {"subscription_id": "from file", "resource_group": "from file", "workspace_name": "from file"}
        (tmp_path / ".azureml").mkdir()
        (tmp_path / ".azureml" / "config.json").write_text(json.dumps(config), encoding="utf-8")
        below = tmp_path / "deep" / "down"
        below.mkdir(parents=True)
        found = find_workspace({"workspace": "given"}, {"AZURE_RESOURCE_GROUP": "from environment"}, below)
        assert (found.workspace, found.resource_group, found.subscription_id) == ("given", "from file", "from file")
        place = f"{tmp_path / '.azureml' / 'config.json'}, the arguments"
        assert found.source == f"{place}; AZURE_RESOURCE_GROUP of the environment not used"
        whole = {"AZURE_RESOURCE_GROUP": "from environment", "AZURE_SUBSCRIPTION_ID": "from environment"}
        found = find_workspace({"workspace": "given"}, whole, below)
        assert (found.resource_group, found.subscription_id) == ("from environment", "from environment")

    def test_what_is_missing_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError, match="no resource_group and no workspace"):
            find_workspace({"subscription_id": "s"}, {}, tmp_path)

    @pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
    def test_a_broken_config_is_named(self, tmp_path: Path, content: str) -> None:
        path = tmp_path / "config.json"
        path.write_bytes(content.encode("utf-8", "surrogateescape"))
        with pytest.raises(ConfigurationError, match=re.escape(str(path))):
            find_workspace({}, {}, tmp_path)

    def test_an_unknown_workspace_is_not_found(self, emulator: AzureMLEmulator) -> None:
        with pytest.raises(NotFoundError, match="ws-other"):
            AzureMLBackend(workspace="ws-other").list_sizes()


class TestModels:
    @pytest.mark.parametrize("tagged", TAGGED, ids=lambda entry: str(entry.name))
    def test_both_eras_of_a_model_say_the_same(self, tagged: RegistryVersion) -> None:
        facts = []
        for day in (tagged.published, "2026-11-01"):
            with AzureMLEmulator(as_of=day):
                found = AzureMLBackend(instance_type=SIZE).find_model(ModelSpec(tagged.name))
            facts.append(set(found.card.finetune_sizes.value or ()))
        assert facts[0] == facts[1]
        assert facts[0] != {""}

    def test_a_version_can_be_asked_for(self, backend: AzureMLBackend) -> None:
        found = backend.find_model(ModelSpec("Phi-3-mini-4k-instruct", version="5"))
        assert (found.version, "learning_rate_min" in found.defaults) == ("5", False)

    @pytest.mark.parametrize(
        "spec", [ModelSpec("no-such"), ModelSpec("Phi-4", version="999"), ModelSpec("Phi-4", registry="no-such")]
    )
    def test_an_unknown_one_is_not_found(self, backend: AzureMLBackend, spec: ModelSpec) -> None:
        with pytest.raises(NotFoundError, match=r"no-such|999"):
            backend.find_model(spec)

    def test_weights_are_for_this_machine(self, backend: AzureMLBackend) -> None:
        with pytest.raises(UnsupportedError, match="weights="):
            backend.find_model(ModelSpec("Phi-4", weights="somewhere"))


class TestComputes:
    def test_low_priority_is_used_only_when_asked_for(self, backend: AzureMLBackend) -> None:
        assert backend.create_compute("one", SIZE).tier == "Dedicated"
        assert backend.create_compute("two", SIZE, tier="LowPriority").tier == "LowPriority"
        assert [backend.find_compute(name).tier for name in ("one", "two")] == ["Dedicated", "LowPriority"]  # type: ignore[union-attr]

    def test_a_size_means_serverless_machines(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        found = backend.find_compute(SIZE.lower())
        assert found is not None
        assert (found.name, found.size, found.gpus) == ("serverless", SIZE, 1)
        backend.submit(small_job(backend, tmp_path, compute=SIZE))
        (job,) = emulator.jobs.all()
        inputs = next(iter(job["properties"]["jobs"].values()))["inputs"]
        assert inputs["compute_finetune"]["value"] == "serverless"
        assert inputs["instance_type_finetune"]["value"] == SIZE

    def test_only_not_found_means_absent(self, backend: AzureMLBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        assert backend.find_compute("absent") is None
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
        with pytest.raises(BackendError, match="cannot be reached"):
            AzureMLBackend(credential=backend._clients.credential).find_compute("absent")

    @pytest.mark.parametrize(("size", "tier"), [("Standard_Nothing", "Dedicated"), (SIZE, "Cheap")])
    def test_what_azure_does_not_have_is_refused_before(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, size: str, tier: str
    ) -> None:
        with pytest.raises(ConfigurationError):
            backend.create_compute("c", size, tier=tier)
        assert asked(emulator, "/computes/", "PUT") == 0

    def test_quotas_are_told_by_family(self, backend: AzureMLBackend) -> None:
        usage = {entry.family: entry for entry in backend.usage()}
        assert usage["standardNCADSA100v4Family"].limit == 200
        assert usage["TotalClusters"].used == 1

    def test_a_size_has_its_cores_and_memory(self, backend: AzureMLBackend) -> None:
        found = backend.find_compute(CLUSTER)
        assert found is not None
        assert (found.gpus, found.cores, found.memory_gib) == (1, 24, 220)


class TestJobs:
    def test_values_are_encoded_once_and_only_what_was_chosen_is_said(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        submitted(backend, tmp_path)
        (job,) = emulator.jobs.all()
        inputs = next(iter(job["properties"]["jobs"].values()))["inputs"]
        said = {name: entry["value"] for name, entry in inputs.items() if "value" in entry}
        assert (said["apply_lora"], said["deepspeed_stage"], said["learning_rate"]) == ("true", "3", "0.005")
        assert (said["compute_finetune"], said["number_of_gpu_to_use_finetuning"]) == (CLUSTER, "1")
        assert "seed" not in said
        assert inputs["mlflow_model_path"]["uri"] == "azureml://registries/azureml/models/Phi-4/versions/8"
        assert {"train_file_path", "validation_file_path", "test_file_path"} <= set(inputs)
        settings = job["properties"]["settings"]
        assert (settings["force_rerun"], settings["continue_on_step_failure"]) == (True, False)

    def test_secrets_are_asked_once_and_a_file_goes_up_once(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        first = submitted(backend, tmp_path)
        assert asked(emulator, "listSecrets") == 1
        second = submitted(backend, tmp_path)
        kept = [r for r in emulator.requests if r.method == "PUT" and ".blob." in r.host]
        assert [r.status for r in kept] == [201, 201, 201, 409, 409, 409]
        assert first.id != second.id

    def test_a_refused_upload_says_which_role_is_missing(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        emulator.fault(preset="no data role")
        with pytest.raises(BackendError, match="Storage Blob Data Contributor") as raised:
            submitted(backend, tmp_path)
        assert "sig=" not in str(raised.value)
        assert emulator.jobs.all() == []

    def test_a_failed_job_is_a_failure_with_its_reason(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        emulator.script(Outcome("failed", "chat_completion_finetune", "CUDA out of memory", seconds=0))
        run = submitted(backend, tmp_path)
        with pytest.raises(RunFailedError, match="CUDA out of memory"):
            RunWatcher(backend, progress=False).watch(run)
        with pytest.raises(RunError):
            backend.register(run, "failed-model", {})

    def test_a_canceled_job_is_no_success(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        emulator.script(Outcome("canceled", seconds=0))
        run = submitted(backend, tmp_path)
        with pytest.raises(RunCanceledError):
            RunWatcher(backend, progress=False).watch(run)
        with pytest.raises(RunError, match="no evaluation"):
            backend.evaluation(run)

    def test_a_job_that_waits_for_ever_times_out_and_goes_on(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        emulator.script(Outcome("queued"))
        run = submitted(backend, tmp_path)
        with pytest.raises(RunTimeoutError, match="queued"):
            RunWatcher(backend, progress=False).watch(run, timeout=0.3)
        assert backend.result(run).status is RunStatus.QUEUED

    def test_every_line_of_a_log_is_said_once_while_it_grows(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        emulator.script(Outcome(seconds=100))
        run = submitted(backend, tmp_path)
        seen: list[RunEvent] = []
        for event in backend.events(run):
            seen.append(event)
            emulator.clock.advance(7)
        lines = [event.message for event in seen if event.kind == "log"]
        assert len(lines) == len(set(lines))
        assert sum("step " in line for line in lines) == 4
        assert [event.step for event in seen if event.kind == "progress"] == [1, 2, 3, 4]
        assert [event.message for event in seen if event.kind == "status"] == ["running", "completed"]

    def test_a_passing_failure_does_not_end_the_watching(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = submitted(backend, tmp_path)
        answer, failures = emulator._router.answer, iter(range(6))

        def sometimes(call: Call) -> Reply:
            busy = call.path.endswith("/details") and next(failures, None) is not None
            return Reply({"error": {"code": "Busy", "message": "busy"}}, 503) if busy else answer(call)

        monkeypatch.setattr(emulator._router, "answer", sometimes)
        assert RunWatcher(backend, progress=False).watch(run).status is RunStatus.COMPLETED
        assert next(failures, None) is None

    def test_metrics_that_fail_never_hide_the_state(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        run = submitted(backend, tmp_path)
        said = b'{"error_code": "INVALID_PARAMETER_VALUE", "message": "no such thing"}'
        emulator.fault("", "/mlflow/", status=400, body=said, times=None)
        result = backend.result(run)
        assert (result.status, dict(result.metrics)) == (RunStatus.COMPLETED, {})
        (warning,) = result.warnings
        assert warning.startswith(f"asking for the metrics of {run.id}: MLflow says: ")
        assert "no such thing" in warning

    @pytest.mark.parametrize(
        ("word", "status"),
        [
            ("NotStarted", "queued"),
            ("Starting", "queued"),
            ("Provisioning", "queued"),
            ("Preparing", "queued"),
            ("Queued", "queued"),
            ("Paused", "running"),
            ("Unknown", "queued"),
            ("Running", "running"),
            ("Finalizing", "running"),
            ("CancelRequested", "running"),
            ("Completed", "completed"),
            ("Failed", "failed"),
            ("NotResponding", "running"),
            ("Canceled", "canceled"),
        ],
    )
    def test_every_state_of_azure_has_one_of_ours(self, word: str, status: str) -> None:
        assert status_of(word) == status

    def test_outputs_come_from_storage_where_the_sdk_stumbles(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run = submitted(backend, tmp_path)
        assert backend.result(run).status is RunStatus.COMPLETED
        backend.find_run(run.id)
        outputs = {"trained_model": {"assetId": "azureml://x/models/m/versions/1", "type": "MLFlowModel"}}
        described = RunHistory._described
        monkeypatch.setattr(RunHistory, "_described", lambda *found: {**described(*found), "outputs": outputs})
        with pytest.raises(TypeError, match="values"):  # the trap
            backend._clients.workspace.jobs.download(run.id, output_name="trained_model", download_path=str(tmp_path))
        folder = Storage(backend._clients).download(f"azureml/{run.id}/trained_model/", tmp_path / "down")
        assert (folder / "MLmodel").is_file()

    def test_a_job_has_no_default_output_that_would_break_streaming(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        run = submitted(backend, tmp_path)
        client = backend._clients.workspace
        assert list(client.jobs.get(run.id).outputs) == ["trained_model"]
        client.jobs.stream(run.id)

    def test_the_clouds_metadata_is_never_asked_for(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
    ) -> None:
        submitted(backend, tmp_path)
        assert "ARM_CLOUD_METADATA_URL" not in emulator.environment()
        assert asked(emulator, "/metadata/endpoints") == 0


class TestEndpoints:
    @pytest.fixture
    def model(self, backend: AzureMLBackend, tmp_path: Path) -> RegisteredModel:
        return backend.register(submitted(backend, tmp_path), "a-very-long-name-for-a-model-" * 3, {})

    def test_a_long_name_becomes_a_legal_endpoint_and_answers_straight(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, model: RegisteredModel
    ) -> None:
        endpoint = backend.deploy(model)
        assert 3 <= len(endpoint.name) <= 32
        emulator._application.requests.clear()
        assert (
            backend.ask(endpoint, [{"role": "user", "content": "Hi"}], max_tokens=5, temperature=0.5) == SCRIPTED_ANSWER
        )
        assert [request.path for request in emulator.requests] == ["/score"]
        with pytest.raises(ConfigurationError, match="top_k"):
            backend.ask(endpoint, [{"role": "user", "content": "Hi"}], top_k=1)
        with pytest.raises(AuthenticationError):
            backend.ask(evolve(endpoint, key="wrong"), [{"role": "user", "content": "Hi"}])

    def test_headers_that_the_sdk_keeps_do_not_reach_us(
        self, backend: AzureMLBackend, model: RegisteredModel, tmp_path: Path
    ) -> None:
        endpoint = backend.deploy(model)
        body = tmp_path / "body.json"
        body.write_text('{"input_data": {"input_string": [{"role": "user", "content": "Hi"}]}}', encoding="utf-8")
        online = backend._clients.workspace.online_endpoints
        online.invoke(endpoint.name, deployment_name=DEPLOYMENT, request_file=str(body))
        assert DEPLOYMENT in EndpointInvokeFields.DEFAULT_HEADER.values()  # the trap: one dictionary for every call
        backend.delete(Resource("endpoint", endpoint.name, "azureml"))
        again = backend.deploy(model)
        assert backend.ask(again, [{"role": "user", "content": "Hi"}]) == SCRIPTED_ANSWER

    def test_a_deployment_that_fails_shows_its_log_and_leaves_nothing(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, model: RegisteredModel
    ) -> None:
        emulator.servers.fail_next("Loading weights\nKilled: out of memory")
        with pytest.raises(BackendError, match="Killed: out of memory"):
            backend.deploy(model, "short-lived")
        assert list(emulator.world.state.all("onlineEndpoints")) == []
        assert list(emulator.world.state.all("deployments")) == []

    @pytest.mark.parametrize("name", ["ab", "1abc", "with_underscore", "x" * 33])
    def test_an_illegal_name_is_refused_before(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, model: RegisteredModel, name: str
    ) -> None:
        with pytest.raises(ConfigurationError, match="3 to 32"):
            backend.deploy(model, name)
        assert asked(emulator, "/onlineEndpoints/", "PUT") == 0

    def test_settings_are_checked_before(self, emulator: AzureMLEmulator) -> None:
        with pytest.raises(ConfigurationError, match="180"):
            AzureMLBackend(request_timeout=181)

    def test_only_machines_of_the_models_list_are_used(self, tmp_path: Path) -> None:
        with AzureMLEmulator(as_of="2026-06-03") as emulator:
            emulator.script(Outcome(seconds=0), always=True)
            backend = AzureMLBackend(instance_type="Standard_DS3_v2", poll=0.05)
            backend.create_compute(CLUSTER, SIZE)
            job = evolve(
                small_job(backend, tmp_path, compute=CLUSTER),
                tags={"azft.base_model": "azureml://registries/azureml/models/Phi-3-mini-4k-instruct/versions/15"},
            )
            model = backend.register(backend.submit(job), "tuned", {})
            with pytest.raises(ConfigurationError, match="cannot be deployed on Standard_DS3_v2"):
                backend.deploy(model)


def test_a_whole_session_leaves_only_its_model(
    backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
) -> None:
    session = FineTuneSession(
        "Phi-4", SAMPLE, backend=backend, compute=CLUSTER, percent=8, folder=tmp_path / ".azft", progress=False
    )
    run = session.submit()
    session.watch(run)
    model = session.register(run)
    assert model.tags["azft.base_model"] == "azureml://registries/azureml/models/Phi-4/versions/8"
    assert model.tags["azft.dataset_sha256"]
    with session.deploy(model) as endpoint:
        assert endpoint.ask("Hi") == SCRIPTED_ANSWER
    assert list(emulator.world.state.all("onlineEndpoints")) == []
    report = session.cleanup()
    assert [resource.kind for resource in report.deleted] == ["run", "upload", "upload", "upload", "data"]
    assert report.failed == ()
    assert [found["name"] for found in emulator.world.state.all("models")] == [model.version]


def test_nothing_of_the_sdk_is_private_but_in_one_module() -> None:
    folder = Path(inspect.getfile(AzureMLBackend)).parent
    private = re.compile(r"azure\.\w+(\.\w+)*\._|\b(models|jobs|workspaces|compute)\._")
    guilty = [path.name for path in folder.glob("*.py") if private.search(path.read_text(encoding="utf-8"))]
    assert guilty == ["client.py", "internals.py"]  # client.py only names a logger
