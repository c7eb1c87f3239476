"""What tests of the Azure backend share: an emulated workspace, a connected backend, and jobs that take no time."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from azft import FineTuneSession, RegisteredModel, Run
from azft.backends.azureml.backend import AzureMLBackend
from azft.domain.job import Job
from azft.testing.contract import SAMPLE, small_job
from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.world import CONTAINER

if TYPE_CHECKING:
    from azure.ai.ml import MLClient

CLUSTER = "gpu-cluster"
SIZE = "Standard_NC24ads_A100_v4"
CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"
CPUS = "Standard_DS3_v2"
RESOURCES = ("jobs", "computes", "onlineEndpoints", "deployments", "models", "data")


def client_of(emulator: AzureMLEmulator, *, cluster: str = "") -> MLClient:
    """Return the SDK's own client of a workspace, in which there is a cluster of that name if one is named."""
    from azure.ai.ml import MLClient
    from azure.ai.ml.entities import AmlCompute
    from azure.identity import DefaultAzureCredential

    world = emulator.world
    client = MLClient(
        DefaultAzureCredential(), world.subscription, world.group, world.workspace, enable_telemetry=False
    )
    if cluster:
        client.compute.begin_create_or_update(AmlCompute(name=cluster, size=CPUS, max_instances=4)).result()
    return client


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[AzureMLEmulator, AzureMLBackend]]:
    """Give one workspace to the tests of a module that are marked `shared`."""
    with AzureMLEmulator(tmp_path_factory.mktemp("workspace")) as started:
        renewed(started)
        yield started, AzureMLBackend(instance_type=SIZE, poll=0.05)


@pytest.fixture
def emulator(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AzureMLEmulator]:
    """Give a workspace whose jobs complete at once, with somebody's cluster: the module's, or one of its own."""
    if request.node.get_closest_marker("shared"):
        shared: AzureMLEmulator = request.getfixturevalue("workspace")[0]
        renewed(shared)
        yield shared
        return
    with AzureMLEmulator(tmp_path / "azure") as started:
        renewed(started)
        yield started


@pytest.fixture
def backend(request: pytest.FixtureRequest, emulator: AzureMLEmulator) -> AzureMLBackend:
    """Return a backend of that workspace."""
    if request.node.get_closest_marker("shared"):
        shared: AzureMLBackend = request.getfixturevalue("workspace")[1]
        return shared
    return AzureMLBackend(instance_type=SIZE, poll=0.05)


@pytest.fixture
def session(backend: AzureMLBackend, tmp_path: Path) -> FineTuneSession:
    return session_of(backend, tmp_path / ".azft")


def session_of(backend: AzureMLBackend, folder: Path, **more: Any) -> FineTuneSession:
    """Return a session on a small part of the sample."""
    settings: dict[str, Any] = {"compute": CLUSTER, "percent": 8, "progress": False, **more}
    return FineTuneSession("Phi-4", SAMPLE, backend=backend, folder=folder, **settings)


@pytest.fixture(scope="session", autouse=True)
def _prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep what is prepared for `submitted` longer than the test that asked first."""
    _folders.append(tmp_path_factory.mktemp("prepared"))
    yield
    _folders.clear()


_folders: list[Path] = []


@lru_cache(maxsize=8)
def _job(backend: AzureMLBackend) -> Job:
    return small_job(backend, Path(mkdtemp(dir=_folders[0])), compute=CLUSTER)


def submitted(backend: AzureMLBackend) -> Run:
    """Submit a small job under an id of its own; planned and prepared once for each backend."""
    return backend.submit(_job(backend))


def renewed(emulator: AzureMLEmulator) -> None:
    """Take back faults, scripts and whatever else the test before has left: it is as new."""
    emulator.faults.clear()
    state = emulator.world.state
    for kind in (*RESOURCES, "children"):
        for name in state.names(kind):
            state.delete(kind, name)
    for path in emulator.world.blobs.names(CONTAINER, "azft/"):
        emulator.world.blobs.delete(CONTAINER, path)
    emulator.jobs.forget_scripts()
    emulator.script(Outcome(seconds=0), always=True)
    emulator.place_compute(CLUSTER, size=SIZE)


@pytest.fixture
def model(backend: AzureMLBackend) -> RegisteredModel:
    """Return a registered model."""
    return backend.register(submitted(backend), "tuned", {})


def snapshot(emulator: AzureMLEmulator) -> dict[str, bytes]:
    """Return every resource of the workspace, as it is kept, to the byte."""
    state = emulator.world.state
    return {
        f"{kind}/{name}": orjson.dumps(state.get(kind, name), option=orjson.OPT_SORT_KEYS)
        for kind in RESOURCES
        for name in state.names(kind)
    }


def asked(emulator: AzureMLEmulator, part: str, method: str = "") -> int:
    """Return how many requests had that in their path."""
    return sum(part in request.path and method in ("", request.method) for request in emulator.requests)
