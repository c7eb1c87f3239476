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
    auth_mode: str = "key",
    probe_delay: int = 600,
    environment: str = "",
    server: str = "",
    server_image: str = "vllm/vllm-openai:v0.30.0",
    server_arguments: str = "",
    poll: float = 5.0,
    patience: float = 600.0,
    job_timeout: float = 0.0,
    job_identity: str = "",
    job_tier: str = "Standard",
    job_environment: str = "",
    restarts: int = 3,
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
        auth_mode=auth_mode,
        probe_delay=probe_delay,
        environment=environment,
        server=server,
        server_image=server_image,
        server_arguments=server_arguments,
        poll=poll,
        patience=patience,
        job_timeout=job_timeout,
        job_identity=job_identity,
        job_tier=job_tier,
        job_environment=job_environment,
        restarts=restarts,
        credential=credential,
    )


@hookimpl
def azft_backends() -> list[BackendSpec]:
    """Offer this machine and Azure ML."""
    return [BackendSpec("local", _local), BackendSpec("azureml", _azureml)]
