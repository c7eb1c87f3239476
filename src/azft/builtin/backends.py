"""The places to run that ship with azft; each is imported when it is chosen."""

from pathlib import Path
from typing import Any

from azft.domain.specs import BackendSpec
from azft.plugins import hookimpl
from azft.ports import Backend


def _local(folder: str | Path = ".azft") -> Backend:
    from azft.backends.local.backend import LocalBackend

    return LocalBackend(folder)


def _azureml(**settings: Any) -> Backend:
    from azft.backends.azureml.backend import AzureMLBackend

    return AzureMLBackend(**settings)


@hookimpl
def azft_backends() -> list[BackendSpec]:
    """Offer this machine and Azure ML."""
    return [BackendSpec("local", _local), BackendSpec("azureml", _azureml)]
