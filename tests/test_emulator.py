"""The emulator, asked by clients that are not azft's: the unmodified SDKs."""

from __future__ import annotations

import gc
import json
import re
import shlex
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import psutil
import pytest
import requests
from azure.ai.ml import Input, MLClient
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import AmlCompute, Data, ManagedOnlineEndpoint, Model
from azure.ai.ml.exceptions import JobException, MlException
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential

from azft.backends.azureml.internals import child_runs
from azft.snapshot import RegistryVersion, sample_folder
from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.steps import CHAT_STEPS
from benchmarks.emulator_load import load
from tests.sampling import WHOLE
from tests.watched import run_watched

ROOT = Path(__file__).parents[1]
SIZE = "Standard_NC24ads_A100_v4"


@pytest.fixture
def emulator(tmp_path: Path) -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator(tmp_path / "azure") as started:
        started.script(Outcome(seconds=0), always=True)
        yield started


def connected(emulator: AzureMLEmulator) -> MLClient:
    return workspace_of(emulator.environment())


def workspace_of(environment: dict[str, str]) -> MLClient:
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")
    return MLClient(DefaultAzureCredential(), *(environment[name] for name in names), enable_telemetry=False)


def registry(name: str) -> MLClient:
    return MLClient(DefaultAzureCredential(), registry_name=name, enable_telemetry=False)


@pytest.fixture
def client(emulator: AzureMLEmulator) -> MLClient:
    return connected(emulator)


def make_job(**inputs: Any) -> Any:
    component = registry("azureml").components.get("chat_completion_pipeline", label="latest")
    file = sample_folder() / "test_sft.jsonl"
    given = {
        "mlflow_model_path": "azureml://registries/azureml/models/Phi-4/versions/8",
        "train_file_path": Input(type="uri_file", path=str(file)),
        **inputs,
    }
    if isinstance(given["mlflow_model_path"], str):
        given["mlflow_model_path"] = Input(type="mlflow_model", path=given["mlflow_model_path"])

    def fine_tune() -> dict[str, Any]:
        return {"trained_model": component(**given).outputs.mlflow_model_folder}

    built: Any = pipeline(fine_tune, name="a fine-tuning")()
    return built


def submitted(emulator: AzureMLEmulator, client: MLClient, **inputs: Any) -> Any:
    return client.jobs.create_or_update(make_job(**inputs), experiment_name="tests")


def test_the_notebook_runs_unchanged_from_sign_in_to_deletion(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name, rows in (("train_sft.jsonl", 60), ("test_sft.jsonl", 12)):
        lines = (sample_folder() / name).read_text(encoding="utf-8").splitlines(keepends=True)
        (data / name).write_text("".join(lines[:rows]), encoding="utf-8")
    workspace = {
        "subscription_id": "00000000-0000-0000-0000-0000000000aa",
        "resource_group": "rg-emulated",
        "workspace_name": "ws-emulated",
    }
    (tmp_path / "config.json").write_text(json.dumps(workspace), encoding="utf-8")
    script = str(ROOT / "tests" / "notebook_flow.py")
    said, contacted = run_watched(tmp_path, script, str(data), "--download", as_of="2024-05-10")
    found = json.loads(said[said.rindex('{"job"') :])
    assert contacted == set()
    assert found["gpus"] == 8
    assert len(found["losses"]) > 1
    assert 5 < found["losses"][-1] < 10  # one epoch at a rate for a pre-trained model hardly moves a stand-in
    assert json.loads(found["answer"])[0]["output"]
    downloaded = tmp_path / "downloaded" / "Phi-3-mini-4k-instruct-ultrachat-200k" / "trained_model"
    loaded = mlflow.transformers.load_model(str(downloaded), return_type="components")
    assert loaded["model"].num_parameters() > 100_000


@pytest.mark.slow
def test_azfts_example_runs_and_contacts_nobody(tmp_path: Path) -> None:
    script = str(ROOT / "examples" / "phi3_on_azure.py")
    said, contacted = run_watched(tmp_path, script, "--sample", "--percent", "8")
    assert contacted == set()
    for line in (
        "cluster    Compute",
        "completed",
        "registered Phi-4",
        "deployed   phi-4",
        "deleted run azft-",
        "deleted compute gpu-cluster-big",
    ):
        assert line in said
    losses = re.search(r"^ loss +([\d.]+) +([\d.]+)", said, re.MULTILINE)
    assert losses is not None


def reason(client: MLClient, job: str) -> str:
    """Return what the step that failed says; the job itself only points at it."""
    failed = [child for child in child_runs(client, job) if child.status == "Failed"]
    return str(failed[0].error.error.message)


def test_what_is_not_emulated_is_refused_and_recorded(emulator: AzureMLEmulator) -> None:
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://pypi.org/simple", timeout=5)
    assert requests.get("http://example.com", timeout=5).status_code == 403
    assert emulator.refused[0] == "pypi.org"
    assert "example.com" in emulator.refused[1]


def test_without_the_key_the_proxy_leads_nowhere(emulator: AzureMLEmulator) -> None:
    proxy = re.sub(r"azft:[^@]+@", "azft:guess@", emulator.environment()["HTTPS_PROXY"])
    with pytest.raises(requests.exceptions.ProxyError):
        requests.get("https://management.azure.com/", proxies={"https": proxy}, timeout=5)


def test_a_token_is_needed(emulator: AzureMLEmulator) -> None:
    answer = requests.get(f"https://management.azure.com{emulator.world.id}?api-version=2023-04-01", timeout=5)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "AuthenticationFailed")


def asked(path: str, *, audience: str = "https://management.azure.com", method: str = "GET") -> Any:
    """Ask Azure's own address with a token, as clients that are no SDK do."""
    token = DefaultAzureCredential().get_token(f"{audience}/.default").token
    url = f"https://management.azure.com{path}"
    return requests.request(method, url, headers={"Authorization": f"Bearer {token}"}, timeout=5)


def test_the_unknown_is_refused_by_name(emulator: AzureMLEmulator) -> None:
    answer = asked(f"{emulator.world.id}/privateEndpointConnections?api-version=2023-04-01")
    assert answer.status_code == 501
    assert answer.json()["error"]["code"] == "EmulatorUnhandled"
    assert "privateEndpointConnections" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("query", "code", "named"),
    [
        ("?api-version=1999-01-01", "NoRegisteredProviderFound", "1999-01-01"),
        ("", "MissingApiVersionParameter", "api-version"),
    ],
)
def test_versions_that_nobody_published_are_refused(
    emulator: AzureMLEmulator, query: str, code: str, named: str
) -> None:
    answer = asked(f"{emulator.world.id}/computes{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert named in answer.json()["error"]["message"]


def test_what_az_login_asks_is_answered(emulator: AzureMLEmulator) -> None:
    audience = "https://management.core.windows.net/"  # az's, with the second slash that its scope then has.
    world = emulator.world
    found = {}
    for path, version in {
        "/subscriptions": "2022-12-01",
        f"/subscriptions/{world.subscription}": "2022-12-01",
        "/tenants": "2022-12-01",
        f"/subscriptions/{world.subscription}/locations": "2022-12-01",
        f"/subscriptions/{world.subscription}/resourcegroups": "2024-11-01",
        f"/subscriptions/{world.subscription}/resourcegroups/{world.group}": "2024-11-01",
    }.items():
        answer = asked(f"{path}?api-version={version}", audience=audience)
        assert answer.status_code == 200, (path, answer.text)
        found[path.rpartition("/")[2]] = answer.json()
    assert [entry["subscriptionId"] for entry in found["subscriptions"]["value"]] == [world.subscription]
    assert [entry["tenantId"] for entry in found["tenants"]["value"]] == [world.tenant]
    assert [entry["name"] for entry in found["locations"]["value"]] == [world.region]
    assert [entry["name"] for entry in found["resourcegroups"]["value"]] == [world.group]
    assert found[world.group]["location"] == world.region


@pytest.mark.parametrize("name", ["listKeys", "listNotebookKeys", "listStorageAccountKeys"])
def test_keys_of_the_workspace_are_new_each_time(emulator: AzureMLEmulator, name: str) -> None:
    path = f"{emulator.world.id}/{name}?api-version=2023-04-01"
    first, second = asked(path, method="POST"), asked(path, method="POST")
    assert first.status_code == second.status_code == 200
    assert first.json() != second.json()


def test_a_key_is_replaced_and_the_other_stays(emulator: AzureMLEmulator, client: MLClient) -> None:
    client.online_endpoints.begin_create_or_update(ManagedOnlineEndpoint(name="keyed", auth_mode="key")).result()
    before = client.online_endpoints.get_keys("keyed")
    client.online_endpoints.begin_regenerate_keys("keyed", key_type="secondary").result()
    after = client.online_endpoints.get_keys("keyed")
    assert after.primary_key == before.primary_key
    assert after.secondary_key not in (before.secondary_key, before.primary_key)


def test_a_cluster_lists_its_nodes(emulator: AzureMLEmulator, client: MLClient) -> None:
    client.compute.begin_create_or_update(AmlCompute(name="cpus", size="Standard_DS3_v2", max_instances=2)).result()
    assert list(client.compute.list_nodes("cpus")) == []
    assert (
        asked(f"{emulator.world.id}/computes/none/listNodes?api-version=2023-04-01", method="POST").status_code == 404
    )


def test_it_stops_while_mlflow_is_asked(tmp_path: Path) -> None:
    # Whoever asks is told, and a connection that was left open would warn here: warnings are errors.
    with AzureMLEmulator(tmp_path / "azure") as emulator, ThreadPoolExecutor(4) as pool:
        uri = f"{emulator.world.id}/api/2.0/mlflow/experiments/search"
        token = DefaultAzureCredential().get_token("https://management.azure.com/.default").token
        address = f"https://{emulator.world.region}.api.azureml.ms/mlflow/v2.0{uri}"
        begun = threading.Event()

        def ask() -> None:
            while True:
                try:
                    requests.post(
                        address, json={"max_results": 5}, headers={"Authorization": f"Bearer {token}"}, timeout=20
                    )
                except requests.RequestException:
                    return
                begun.set()

        asking = [pool.submit(ask) for _ in range(4)]
        assert begun.wait(60)
        emulator.stop()
        for one in asking:
            one.result(60)
    gc.collect()


def test_mlflow_answers_once_the_folder_that_it_was_started_from_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A notebook's folder may be cleaned up while the emulator goes on."""
    left = tmp_path / "left"
    left.mkdir()
    monkeypatch.chdir(left)
    with AzureMLEmulator(tmp_path / "azure") as emulator:
        emulator.mlflow.warm()
        monkeypatch.chdir(tmp_path)
        left.rmdir()
        workspace = connected(emulator).workspaces.get(emulator.world.workspace)
        tracking = mlflow.MlflowClient(workspace.mlflow_tracking_uri)
        run = tracking.create_run(tracking.create_experiment("afterwards")).info.run_id
        tracking.log_metric(run, "loss", 1.0)
        assert tracking.get_run(run).data.metrics == {"loss": 1.0}


def test_absent_things_are_not_found(emulator: AzureMLEmulator, client: MLClient) -> None:
    with pytest.raises(ResourceNotFoundError):
        client.compute.get("nowhere")
    with pytest.raises(ResourceNotFoundError):
        client.models.get("nothing", "1")
    with pytest.raises(ResourceNotFoundError):
        client.jobs.get("never")
    with pytest.raises(MlException):
        registry("azureml").models.get("no-such-model", label="latest")
    with pytest.raises(HttpResponseError):
        registry("no-such-registry")


def test_a_size_nobody_offers_is_refused(client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="Standard_NC6"):
        client.compute.begin_create_or_update(AmlCompute(name="old-cluster", size="Standard_NC6")).result()


def test_sizes_have_their_real_gpu_counts(client: MLClient) -> None:
    sizes = {size.name: size.gpus for size in client.compute.list_sizes()}
    assert (sizes["Standard_ND96asr_v4"], sizes[SIZE], sizes["Standard_NC96ads_A100_v4"]) == (8, 1, 4)
    assert "Standard_NC24rs_v3" not in sizes


def test_quotas_are_given(tmp_path: Path) -> None:
    with AzureMLEmulator(tmp_path, quotas={"standardNCADSA100v4Family": 24}) as emulator:
        rows = [entry for entry in connected(emulator).compute.list_usage() if "vmFamily/dedicated" in entry.type]
    usage = {entry.name["value"]: entry.limit for entry in rows}
    assert usage["standardNCADSA100v4Family"] == 24
    assert usage["standardNCASv3_T4Family"] == 200


def test_the_registry_has_its_eras() -> None:
    tags = {}
    for day in ("2024-05-10", "2026-06-10", "2026-11-01"):
        with AzureMLEmulator(as_of=day):
            found = registry("azureml").models.get("Phi-3-mini-4k-instruct", label="latest")
            tags[day] = (found.version, found.tags)
    assert "Standard_ND40rs_v2" in tags["2024-05-10"][1]["finetune_compute_allow_list"]
    assert "learning_rate_min" in tags["2026-06-10"][1]["model_specific_defaults"]
    assert "Standard_ND40rs_v2" not in tags["2026-06-10"][1]["finetune_compute_allow_list"]
    assert "finetune_compute_allow_list" not in tags["2026-11-01"][1]
    assert [tags[day][0] for day in tags] == ["5", "15", "15"]


def test_users_add_their_own_models_and_registries(tmp_path: Path) -> None:
    mine = RegistryVersion("mine", "3", "2026-01-01", tags={"task": "chat-completion"})
    with AzureMLEmulator(tmp_path, models=[mine], registries={"acme": [mine]}):
        for name in ("azureml", "acme"):
            found = registry(name).models.get("mine", label="latest")
            assert (found.version, found.tags["task"]) == ("3", "chat-completion")


def test_a_failed_job_says_where_and_why(emulator: AzureMLEmulator, client: MLClient) -> None:
    emulator.script(Outcome("failed", "chat_completion_finetune", "CUDA out of memory", seconds=0))
    job = submitted(emulator, client)
    with pytest.raises(JobException, match="Failed nodes: /chat_completion_finetune"):
        client.jobs.stream(job.name)
    assert reason(client, job.name) == "CUDA out of memory"
    children = {child.display_name: child.status for child in client.jobs.list(parent_job_name=job.name)}
    assert children["chat_completion_finetune"] == "Failed"
    assert children["chat_completion_datapreprocess"] == "Completed"
    assert "ft_nlp_model_converter" not in children


def test_a_queued_job_waits_until_it_is_canceled_and_stream_returns_as_if_all_were_well(
    emulator: AzureMLEmulator, client: MLClient
) -> None:
    emulator.script(Outcome("queued"))
    job = submitted(emulator, client)
    emulator.clock.advance(7 * 24 * 3600)
    assert client.jobs.get(job.name).status == "NotStarted"
    client.jobs.begin_cancel(job.name).wait()
    client.jobs.stream(job.name)  # no exception: the trap that azft's own watch does not fall into
    assert client.jobs.get(job.name).status == "Canceled"


def test_the_clock_decides_how_far_a_job_is(emulator: AzureMLEmulator, client: MLClient) -> None:
    emulator.script(Outcome(seconds=3600))
    job = submitted(emulator, client)
    assert client.jobs.get(job.name).status == "Running"
    emulator.clock.advance(1800)
    assert [child.display_name for child in client.jobs.list(parent_job_name=job.name)][
        -1
    ] == "chat_completion_finetune"
    client.jobs.begin_cancel(job.name).wait()
    assert client.jobs.get(job.name).status == "Canceled"


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ({"compute_finetune": "nowhere"}, "unknown compute target 'nowhere'"),
        ({"shm_size_finetune": "5'g"}, "characters"),
    ],
)
def test_a_job_that_cannot_run_is_refused(
    emulator: AzureMLEmulator, client: MLClient, inputs: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HttpResponseError, match=reason):
        submitted(emulator, client, **inputs)


def test_a_folder_goes_up_whole_and_is_no_training_file(
    emulator: AzureMLEmulator, client: MLClient, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "below").mkdir(parents=True)
    shutil.copy(sample_folder() / "test_sft.jsonl", folder / "below" / "a.jsonl")
    (folder / "b.txt").write_text("b", encoding="utf-8")
    asset = client.data.create_or_update(Data(name="folder", version="1", path=str(folder), type="uri_folder"))
    names = emulator.world.blobs.names("azureml-blobstore-emulated", "LocalUpload/")
    assert {name.split("/", 3)[-1] for name in names} == {"below/a.jsonl", "b.txt"}
    assert client.data.get("folder", "1").path == asset.path
    emulator.jobs.default = None
    job = submitted(emulator, client, train_file_path=Input(type="uri_folder", path=str(folder)))
    with pytest.raises(JobException, match="Pipeline has failed child jobs"):
        client.jobs.stream(job.name)
    assert "is a folder, expected a file" in reason(client, job.name)


def test_a_bad_row_fails_the_job_that_really_runs(emulator: AzureMLEmulator, client: MLClient, tmp_path: Path) -> None:
    emulator.jobs.default = None
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n', encoding="utf-8")
    job = submitted(emulator, client, train_file_path=Input(type="uri_file", path=str(bad)))
    with pytest.raises(JobException, match="Pipeline has failed child jobs"):
        client.jobs.stream(job.name)
    assert "bad.jsonl, line 1: no assistant turn" in reason(client, job.name)


def test_a_large_file_goes_up_in_blocks(emulator: AzureMLEmulator, client: MLClient, tmp_path: Path) -> None:
    large = tmp_path / "large.bin"
    block = bytes(range(256)) * 4096
    with large.open("wb") as file:
        for _ in range(300):
            file.write(block)
    client.data.create_or_update(Data(name="large", version="1", path=str(large), type="uri_file"))
    (name,) = emulator.world.blobs.names("azureml-blobstore-emulated", "LocalUpload/")
    kept = emulator.world.blobs.path("azureml-blobstore-emulated", name)
    assert kept.stat().st_size == 300 * len(block)
    with kept.open("rb") as file:
        assert all(file.read(len(block)) == block for _ in range(300))
    assert sum(request.method == "PUT" and request.path.endswith("large.bin") for request in emulator.requests) > 10


def test_a_registered_output_is_downloaded_as_it_is(
    emulator: AzureMLEmulator, client: MLClient, tmp_path: Path
) -> None:
    job = submitted(emulator, client)
    client.jobs.stream(job.name)
    model = client.models.create_or_update(
        Model(name="tuned", version="1", path=f"azureml://jobs/{job.name}/outputs/trained_model", type="mlflow_model")
    )
    client.models.download(model.name, model.version, download_path=str(tmp_path / "down"))
    assert (tmp_path / "down" / "tuned" / "trained_model" / "MLmodel").is_file()
    client.jobs.download(job.name, output_name="trained_model", download_path=str(tmp_path / "job"))
    assert list((tmp_path / "job").rglob("MLmodel"))
    with pytest.raises(HttpResponseError, match="has no output 'other'"):
        client.models.create_or_update(
            Model(name="o", version="1", path=f"azureml://jobs/{job.name}/outputs/other", type="mlflow_model")
        )


def test_the_output_of_an_unfinished_job_cannot_be_registered(emulator: AzureMLEmulator, client: MLClient) -> None:
    emulator.script(Outcome("queued"))
    job = submitted(emulator, client)
    with pytest.raises(HttpResponseError, match="has not completed"):
        client.models.create_or_update(
            Model(
                name="early", version="1", path=f"azureml://jobs/{job.name}/outputs/trained_model", type="mlflow_model"
            )
        )


def test_metrics_are_asked_by_the_jobs_own_id(emulator: AzureMLEmulator, client: MLClient) -> None:
    job = submitted(emulator, client)
    tracking = mlflow.MlflowClient(client.workspaces.get(emulator.world.workspace).mlflow_tracking_uri)
    experiment = tracking.get_experiment_by_name("tests")
    assert experiment is not None
    runs = tracking.search_runs([experiment.experiment_id], f"tags.mlflow.rootRunId = '{job.name}'")
    assert tracking.get_run(job.name).info.status == "FINISHED"
    (trained,) = [run for run in runs if "loss" in run.data.metrics]
    assert trained.data.tags["mlflow.parentRunId"] == job.name
    history = tracking.get_metric_history(trained.info.run_id, "loss")
    assert [(point.step, point.value) for point in history] == [(1, 2.0), (2, 1.0), (3, 2 / 3), (4, 0.5)]


def test_a_second_emulator_carries_on(tmp_path: Path) -> None:
    with AzureMLEmulator(tmp_path / "kept") as first:
        first.script(Outcome(seconds=0), always=True)
        client = connected(first)
        client.compute.begin_create_or_update(AmlCompute(name="cluster", size=SIZE)).wait()
        job = submitted(first, client)
        model = client.models.create_or_update(
            Model(name="m", version="1", path=f"azureml://jobs/{job.name}/outputs/trained_model", type="mlflow_model")
        )
    with AzureMLEmulator(tmp_path / "kept") as second:
        client = connected(second)
        assert client.compute.get("cluster").size == SIZE
        assert client.jobs.get(job.name).status == "Completed"
        assert client.models.get("m", label="latest").path == model.path
        assert [found.name for found in client.jobs.list()] == [job.name]


def test_eight_clients_at_once(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    ready = threading.Barrier(8)
    jobs = []  # built one after the other: the SDK's pipelines know only one builder at a time
    for number in range(8):
        file = tmp_path / f"{number}.jsonl"
        file.write_bytes((sample_folder() / "test_sft.jsonl").read_bytes() + b"\n" * number)
        jobs.append(make_job(train_file_path=Input(type="uri_file", path=str(file))))

    def one(number: int) -> bool:
        client = connected(emulator)
        ready.wait()
        client.compute.begin_create_or_update(AmlCompute(name=f"cluster-x{number}x", size=SIZE)).wait()
        made = client.jobs.create_or_update(jobs[number], experiment_name="tests")
        client.models.create_or_update(
            Model(
                name=f"model-{number}",
                version="1",
                path=f"azureml://jobs/{made.name}/outputs/trained_model",
                type="mlflow_model",
            )
        )
        client.compute.begin_delete(f"cluster-x{number}x").wait()
        return bool(client.jobs.get(made.name).status == "Completed")

    connected(emulator).jobs.list()  # the SDK's own lazy imports, once
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(8)))
    client = connected(emulator)
    assert len(list(client.jobs.list())) == 8
    assert len(list(client.models.list())) == 8
    assert list(client.compute.list()) == []


def test_the_fixture_gives_a_workspace_and_keeps_its_secret(azureml_emulator: AzureMLEmulator) -> None:
    assert connected(azureml_emulator).workspaces.get(azureml_emulator.world.workspace).location == "eastus"
    assert azureml_emulator.environment()["AZURE_CLIENT_SECRET"] not in repr(azureml_emulator)


class Apart:
    """An emulator in a process of its own, as the command line gives it."""

    def __init__(self, folder: Path) -> None:
        module = [sys.executable, "-W", "ignore", "-m", "azft.testing.emulator"]
        command = [*module, "--folder", str(folder), "--outcome", "completed"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self.environment: dict[str, str] = {}
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if not line.startswith("export "):
                break
            name, _, value = line.removeprefix("export ").strip().partition("=")
            self.environment[name] = shlex.split(value)[0]

    def end(self, how: signal.Signals) -> int:
        self.process.send_signal(how)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(30)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM])
def apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[Apart]:
    found = Apart(tmp_path / "apart")
    for name, value in found.environment.items():
        monkeypatch.setenv(name, value)
    yield found
    assert found.end(request.param) == 0


def test_what_the_command_line_prints_leads_a_program_there(apart: Apart) -> None:
    assert workspace_of(apart.environment).workspaces.get("ws-emulated").name == "ws-emulated"
    assert requests.get("http://example.com", timeout=5).status_code == 403


@pytest.mark.slow
@pytest.mark.parametrize("apart", [signal.SIGTERM], indirect=True)
def test_two_hundred_jobs_leave_it_as_small_and_as_fast(apart: Apart) -> None:
    """Memory after the tenth job may grow by 30 MB; the last looks may take at most 1.5 times as long as the first."""
    built = make_job()
    client = workspace_of(apart.environment)
    emulator_process = psutil.Process(apart.process.pid)
    looks: list[float] = []
    small = 0
    for number in range(200 if WHOLE else 80):
        built.name = f"job-{number}"
        job = client.jobs.create_or_update(built, experiment_name="many")
        begun = time.perf_counter()
        assert client.jobs.get(job.name).status == "Completed"
        assert [child.display_name for child in client.jobs.list(parent_job_name=job.name)] == list(CHAT_STEPS.names)
        looks.append(time.perf_counter() - begun)
        if number == 9:
            small = emulator_process.memory_info().rss
    grown = (emulator_process.memory_info().rss - small) / 2**20
    assert grown <= 30, grown
    assert statistics.median(looks[-20:]) <= 1.5 * statistics.median(looks[10:30])


def test_an_independent_client_works(emulator: AzureMLEmulator) -> None:
    from azure.mgmt.machinelearningservices import MachineLearningServicesMgmtClient

    world = emulator.world
    client: Any = MachineLearningServicesMgmtClient(DefaultAzureCredential(), world.subscription)
    place = (world.group, world.workspace)
    cluster = {
        "location": world.region,
        "properties": {"computeType": "AmlCompute", "properties": {"vmSize": SIZE, "vmPriority": "Dedicated"}},
    }
    client.compute.begin_create_or_update(*place, "cluster", cluster).result()
    assert [found.name for found in client.compute.list(*place)] == ["cluster"]
    assert client.compute.get(*place, "cluster").properties.properties.vm_size == SIZE
    job = submitted(emulator, connected(emulator))
    assert [found.name for found in client.jobs.list(*place)] == [job.name]
    assert client.jobs.get(*place, job.name).properties.status == "Completed"
    version = {
        "properties": {"modelUri": f"azureml://jobs/{job.name}/outputs/trained_model", "modelType": "mlflow_model"}
    }
    made = client.model_versions.create_or_update(*place, "model", "1", version)
    assert [found.name for found in client.model_versions.list(*place, "model")] == ["1"]
    endpoint = {"location": world.region, "properties": {"authMode": "Key"}}
    client.online_endpoints.begin_create_or_update(*place, "endpoint-1", endpoint).result()
    deployment = {
        "location": world.region,
        "sku": {"name": "Default", "capacity": 1},
        "properties": {"endpointComputeType": "Managed", "model": made.id, "instanceType": SIZE},
    }
    client.online_deployments.begin_create_or_update(*place, "endpoint-1", "blue", deployment).result()
    assert [found.name for found in client.online_deployments.list(*place, "endpoint-1")] == ["blue"]
    assert client.online_endpoints.get(*place, "endpoint-1").properties.scoring_uri.endswith("/score")
    assert client.online_endpoints.list_keys(*place, "endpoint-1").primary_key
    client.online_endpoints.begin_delete(*place, "endpoint-1").result()
    client.model_versions.delete(*place, "model", "1")
    client.jobs.begin_delete(*place, job.name).result()
    client.compute.begin_delete(*place, "cluster", "Delete").result()
    gone: list[Callable[[], Any]] = [
        lambda: client.online_endpoints.get(*place, "endpoint-1"),
        lambda: client.model_versions.get(*place, "model", "1"),
        lambda: client.jobs.get(*place, job.name),
        lambda: client.compute.get(*place, "cluster"),
    ]
    for ask in gone:
        with pytest.raises(ResourceNotFoundError):
            ask()


@pytest.mark.slow
def test_sixteen_clients_and_two_thousand_requests(emulator: AzureMLEmulator) -> None:
    wrong, seconds = load(emulator, 16, 2000)
    assert wrong == []
    assert len(seconds) == 2000
