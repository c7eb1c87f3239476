"""An Azure ML workspace on this machine, for the unmodified Azure SDK: Azure ML's REST face over the local backend."""

from azft.testing.emulator.emulator import AzureMLEmulator
from azft.testing.emulator.scripts import Outcome

__all__ = ["AzureMLEmulator", "Outcome"]
