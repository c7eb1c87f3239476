"""The Azure ML backend against the emulator, under the unmodified SDK."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from azft.backends.azureml.backend import AzureMLBackend
from azft.testing.contract import BackendContract
from azft.testing.emulator import AzureMLEmulator

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
