"""The fixture `azureml_emulator`, for every test suite where azft is installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from azft.testing.emulator import AzureMLEmulator


@pytest.fixture
def azureml_emulator(tmp_path: Path) -> Iterator[AzureMLEmulator]:
    """Give an emulated Azure ML workspace that this process is redirected to for the length of the test."""
    from azft.testing.emulator import AzureMLEmulator

    with AzureMLEmulator(tmp_path / "azureml") as emulator:
        yield emulator
