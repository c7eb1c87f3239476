"""The emulator against what Microsoft has published: shapes, words and refusals (F2, F4, F7, F8, F10, R10).

Shapes and words come from azure-mgmt-machinelearningservices 2.0, which is generated from the REST specification: what
the emulator answers must be read by its models with nothing left over.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from azure.identity import DefaultAzureCredential
from azure.mgmt.machinelearningservices import models as published

from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.states import STATUSES
from azft.errors import BackendError
from azft.testing.emulator import AzureMLEmulator
from azft.testing.emulator.shapes import AUTH_MODES, COMPUTE_TYPES, PRIORITIES
from tests.workspaces import CLUSTER, SIZE, submitted

VERSION = "2023-04-01"
MANAGEMENT = "https://management.azure.com"


pytestmark = pytest.mark.shared


def ask(method: str, path: str, body: Any = None, *, scope: str = MANAGEMENT, **headers: str) -> requests.Response:
    token = DefaultAzureCredential().get_token(f"{scope}/.default").token
    content = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json", **headers}
    url = f"{MANAGEMENT}{path}{'&' if '?' in path else '?'}api-version={VERSION}"
    return requests.request(method, url, data=content, headers=given, timeout=20)


def read(kind: type[Any], body: Any) -> Any:
    """Return the body as Microsoft's model reads it; what the model does not know is a failure."""
    found = kind.deserialize(body)
    left = dict(getattr(found, "additional_properties", None) or {})
    assert left == {}, left
    return found


def test_resources_are_read_by_the_published_models(backend: AzureMLBackend, emulator: AzureMLEmulator) -> None:
    world = emulator.world
    run = submitted(backend)
    model = backend.register(run, "shaped", {})
    backend.deploy(model, "shaped")
    cases = [
        (published.JobBase, f"/jobs/{run.id}"),
        (published.ComputeResource, f"/computes/{CLUSTER}"),
        (published.OnlineEndpoint, "/onlineEndpoints/shaped"),
        (published.OnlineDeployment, "/onlineEndpoints/shaped/deployments/azft"),
        (published.ModelVersion, f"/models/shaped/versions/{model.version}"),
        (published.ModelContainer, "/models/shaped"),
    ]
    for kind, path in cases:
        answer = ask("GET", world.id + path)
        assert answer.status_code == 200
        found = read(kind, answer.json())
        assert found.id
        assert found.properties is not None
    usages = ask(
        "GET",
        f"/subscriptions/{world.subscription}/providers/Microsoft.MachineLearningServices/locations/eastus/usages",
    )
    rows = [read(published.Usage, row) for row in usages.json()["value"]]
    assert all(
        row.name.value and row.limit is not None and str(row.unit) in {"Count", "UsageUnit.COUNT"} for row in rows
    )
    keys = ask("POST", f"{world.id}/onlineEndpoints/shaped/listKeys")
    assert read(published.EndpointAuthKeys, keys.json()).primary_key


def test_words_are_the_published_ones() -> None:
    assert {word.value for word in published.EndpointAuthMode} == set(AUTH_MODES)
    assert {word.value for word in published.VmPriority} == set(PRIORITIES)
    assert {word.value for word in published.ComputeType} <= set(COMPUTE_TYPES)
    known = {word.value for word in published.JobStatus}
    ended = {word for word, status in STATUSES.items() if status.ended}
    assert ended - {"Finished"} <= known
    assert {"NotResponding", "Paused", "CancelRequested", "Finalizing", "Running"} <= known & set(STATUSES)


BROKEN = [b"", b"{", b"null", b"[]", b'"x"', b"5", b'{"properties": null}', b'{"properties": []}', b'{"properties": 5}',
          b'{"properties": {"properties": []}}', b"\xff\xfe", b'{"a":' * 900 + b"1" + b"}" * 900,
          b'{"tags": 5, "properties": {}}', b'{"tags": {"a": {}}, "properties": {}}']  # fmt: skip


@pytest.mark.parametrize("body", BROKEN, ids=lambda body: repr(body[:24]))
@pytest.mark.parametrize(
    "path", ["/onlineEndpoints/odd", "/computes/odd", "/jobs/odd", "/models/odd/versions/1", "/data/odd/versions/1"]
)
def test_a_malformed_body_is_the_clients_error_and_makes_nothing(
    emulator: AzureMLEmulator, path: str, body: bytes
) -> None:
    began = time.monotonic()
    answer = ask("PUT", emulator.world.id + path, body)
    assert 400 <= answer.status_code < 500, answer.text
    assert answer.json()["error"]["code"]
    assert ask("GET", emulator.world.id + path).status_code == 404
    assert time.monotonic() - began < 5


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("/onlineEndpoints/odd", {"authMode": "Bogus"}),
        ("/onlineEndpoints/odd", {}),
        ("/onlineEndpoints/odd", {"authMode": "Key", "traffic": {"a": 150}}),
        ("/onlineEndpoints/odd", {"authMode": "Key", "traffic": {"a": -1}}),
        ("/onlineEndpoints/odd", {"authMode": "Key", "traffic": []}),
        (
            "/computes/odd",
            {"computeType": "AmlCompute", "properties": {"vmSize": SIZE, "scaleSettings": {"maxNodeCount": -1}}},
        ),
        ("/computes/odd", {"computeType": "AmlCompute", "properties": {"vmSize": SIZE, "vmPriority": "Cheap"}}),
        ("/computes/odd", {"computeType": "Bogus", "properties": {}}),
        ("/computes/odd", {"computeType": "AmlCompute", "properties": {"vmSize": "Standard_None"}}),
        ("/jobs/" + "x" * 300, {"jobType": "Pipeline"}),
        ("/jobs/odd", {"jobType": "Pipeline", "tags": {f"t{n}": "" for n in range(51)}}),
        ("/jobs/odd", {"jobType": "Pipeline", "tags": {"t": "x" * 1001}}),
    ],
)
def test_values_that_the_service_refuses_are_refused(
    emulator: AzureMLEmulator, path: str, properties: dict[str, Any]
) -> None:
    answer = ask("PUT", emulator.world.id + path, {"properties": properties, "location": "eastus"})
    assert answer.status_code == 400, answer.text
    assert ask("GET", emulator.world.id + path).status_code == 404


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (("0aa", "0bb"), "SubscriptionNotFound"),
        (("rg-emulated", "rg-other"), "ResourceGroupNotFound"),
        (("ws-emulated", "ws-other"), "ResourceNotFound"),
    ],
)
def test_names_that_do_not_exist_are_not_found(emulator: AzureMLEmulator, change: tuple[str, str], code: str) -> None:
    path = emulator.world.id.replace(*change)
    for method, tail, body in (
        ("GET", "/computes", None),
        ("PUT", "/onlineEndpoints/x", {"properties": {"authMode": "Key"}}),
    ):
        answer = ask(method, path + tail, body)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, code)


def test_a_model_that_is_none_fails_as_its_container_would(
    backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
) -> None:
    from azure.ai.ml.entities import Model

    from azft import RegisteredModel

    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "readme.txt").write_text("no model", encoding="utf-8")
    client = backend._clients.workspace
    made = client.models.create_or_update(
        Model(name="none", version="1", path=str(tmp_path / "folder"), type="mlflow_model")
    )
    with pytest.raises(BackendError, match='Could not find an "MLmodel" configuration file'):
        backend.deploy(RegisteredModel("none", "1", str(made.id), "azureml"), "nothing")
    assert emulator.world.state.get("onlineEndpoints", "nothing") is None


def test_the_result_of_a_long_operation_is_the_resource(emulator: AzureMLEmulator) -> None:
    body = {"location": "eastus", "properties": {"authMode": "Key"}}
    answer = ask("PUT", f"{emulator.world.id}/onlineEndpoints/long", body)
    place = answer.headers["Location"].removeprefix(MANAGEMENT).partition("?")[0]
    assert ask("GET", place).status_code == 202
    found = ask("GET", place)
    assert (found.status_code, found.json()["name"]) == (200, "long")
    ask("DELETE", f"{emulator.world.id}/onlineEndpoints/long")


class TestBlobs:
    def test_conditions_and_names_are_those_of_storage(self, emulator: AzureMLEmulator) -> None:
        emulator.world.blobs.write("azureml-blobstore-emulated", "a.txt", b"one")
        url = emulator.world.blob_url("a.txt")
        head = requests.head(url, timeout=10)
        wrong = requests.put(url, b"two", headers={"x-ms-blob-type": "BlockBlob", "If-Match": '"other"'}, timeout=10)
        assert (wrong.status_code, wrong.headers["x-ms-error-code"]) == (412, "ConditionNotMet")
        right = {"x-ms-blob-type": "BlockBlob", "If-Match": head.headers["ETag"]}
        assert requests.put(url, b"two", headers=right, timeout=10).status_code == 201
        long = emulator.world.blob_url("x" * 1100)
        assert requests.put(long, b"x", headers={"x-ms-blob-type": "BlockBlob"}, timeout=10).status_code == 400

    def test_a_token_for_storage_opens_nothing_else(self, emulator: AzureMLEmulator) -> None:
        answer = ask("GET", f"{emulator.world.id}/computes", scope="https://storage.azure.com")
        assert answer.status_code == 401
        assert "authorization_uri" in answer.headers["WWW-Authenticate"]


def test_heads_are_answered_and_nothing_internal_leaks(emulator: AzureMLEmulator, backend: AzureMLBackend) -> None:
    assert ask("HEAD", emulator.world.id).status_code == 200
    model = backend.register(submitted(backend), "plain", {})
    assert "key" not in ask("GET", f"{emulator.world.id}/models/plain/versions/{model.version}").json()


@pytest.mark.parametrize("key", ["kéy", "\u65e5", "\udcff"])
def test_a_key_beyond_ascii_is_refused(emulator: AzureMLEmulator, backend: AzureMLBackend, key: str) -> None:
    if emulator.world.state.get("onlineEndpoints", "keys") is None:
        backend.deploy(backend.register(submitted(backend), "keyed", {}), "keys")
    headers = {"Authorization": b"Bearer " + key.encode("utf-8", "surrogateescape")}
    answer = requests.post("https://keys.eastus.inference.ml.azure.com/score", json={}, headers=headers, timeout=10)
    assert answer.status_code == 401


def test_one_change_at_a_time(emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path) -> None:
    """409 while an operation on the same thing is under way (Troubleshooting online endpoints)."""
    release: list[bool] = []
    emulator.world.operations.start(_call(emulator), "mfe", lambda: _wait_for(release), about="onlineEndpoints/busy")
    answer = ask("PUT", f"{emulator.world.id}/onlineEndpoints/busy", {"properties": {"authMode": "Key"}})
    release.append(True)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "Conflict")


def _wait_for(release: list[bool]) -> None:
    while not release:
        time.sleep(0.01)


def _call(emulator: AzureMLEmulator) -> Any:
    from azft.testing.emulator.wire import Call

    return Call("PUT", "management.azure.com", "/", {"subscription": emulator.world.subscription})


@pytest.mark.slow
def test_a_killed_emulator_leaves_neither_server_nor_folder(tmp_path: Path) -> None:
    program = (
        "import time\nfrom azft.testing.emulator import AzureMLEmulator, Outcome\n"
        "from azft.backends.azureml.backend import AzureMLBackend\n"
        "emulator = AzureMLEmulator().__enter__()\nAzureMLBackend()._metrics._client.search_experiments()\n"
        "print('ready', flush=True)\ntime.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-W", "ignore", "-c", program], stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        servers = list(psutil.Process(child.pid).children(recursive=True))
        os.kill(child.pid, signal.SIGKILL)
    assert servers
    psutil.wait_procs(servers, timeout=10)
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in servers)
    with AzureMLEmulator():
        left = list(Path(tempfile.gettempdir()).glob(f"azft-emulator-{child.pid}-*"))
    assert left == []


def test_faults_have_a_name_or_are_refused(emulator: AzureMLEmulator) -> None:
    from azft.errors import ConfigurationError

    with pytest.raises(ConfigurationError, match="throttled"):
        emulator.fault(preset="nonsense")
    with pytest.raises(ConfigurationError, match="no part of a fault"):
        emulator.fault("GET", "/x", statu=5)
    scripted = emulator.fault("GET", "/computes", status=503, code="Busy", after=1, times=1)[0]
    codes = [ask("GET", f"{emulator.world.id}/computes").status_code for _ in range(3)]
    assert (codes, scripted.met) == ([200, 503, 200], 1)


def test_an_evicted_job_is_a_preset(emulator: AzureMLEmulator, backend: AzureMLBackend) -> None:
    emulator.fault(preset="spot eviction")
    run = submitted(backend)
    assert [event.message for event in backend.events(run) if event.kind == "status"][-1] == "failed"
    found = backend.result(run).diagnosis
    assert found is not None
    assert found.cause == "preempted"
