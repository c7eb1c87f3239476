"""The places to run that ship with azft; each is imported when it is chosen."""

from pathlib import Path
from typing import Any

from azft.domain.specs import BackendSpec
from azft.plugins import hookimpl
from azft.ports import Backend


def _local(folder: str | Path = ".azft") -> Backend:
    from azft.backends.local.backend import LocalBackend

    return LocalBackend(folder)


def _azureml(
    *,
    subscription_id: str = "",
    resource_group: str = "",
    workspace: str = "",
    interactive: bool = False,
    instance_type: str = "",
    instances: int = 1,
    request_timeout: float = 90.0,
    poll: float = 5.0,
    credential: Any = None,
) -> Backend:
    from azft.backends.azureml.backend import AzureMLBackend

    return AzureMLBackend(
        subscription_id=subscription_id,
        resource_group=resource_group,
        workspace=workspace,
        interactive=interactive,
        instance_type=instance_type,
        instances=instances,
        request_timeout=request_timeout,
        poll=poll,
        credential=credential,
    )


@hookimpl
def azft_backends() -> list[BackendSpec]:
    """Offer this machine and Azure ML."""
    return [BackendSpec("local", _local), BackendSpec("azureml", _azureml)]
