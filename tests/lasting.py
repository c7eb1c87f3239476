"""One emulated workspace for all tests of a module, with a cluster of CPUs and the SDK's own client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from azure.ai.ml import MLClient

from azft.testing.emulator import AzureMLEmulator
from tests.workspaces import client_of

CPU_CLUSTER = "cpu-cluster"


@pytest.fixture(scope="module", name="emulator")
def lasting_emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLEmulator]:
    with AzureMLEmulator(tmp_path_factory.mktemp("azure")) as started:
        yield started


@pytest.fixture(scope="module", name="client")
def lasting_client(emulator: AzureMLEmulator) -> MLClient:
    return client_of(emulator, cluster=CPU_CLUSTER)
