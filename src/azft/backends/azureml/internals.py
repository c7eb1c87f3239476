"""The one place that reaches into azure-ai-ml where its public face hides what is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen


def raw_model(client: Any, name: str, version: str) -> Mapping[str, Any]:
    """Return a registry model as the wire has it, the latest one if no version is given.

    The typed read of azure-ai-ml 1.35 drops `systemMetadata`; the mapping below it has everything.
    """
    models = client.models
    if version:
        found = models._get(name, version)
    else:
        from azure.ai.ml._restclient.arm_ml_service.models import ModelVersion
        from azure.ai.ml._utils._asset_utils import _get_latest

        found = _get_latest(
            name,
            models._model_versions_operation,
            models._resource_group_name,
            models._workspace_name,
            models._registry_name,
            registry_service_client=models._registry_service_client,
            asset_plural="models",
            arm_cls=ModelVersion,
        )
    whole: Mapping[str, Any] = found.as_dict()
    return whole


def remember_workspace(client: Any) -> None:
    """Let the client ask once what its workspace is: the SDK asks before every endpoint, deployment, cluster and job.

    Workspaces other than the client's own are asked for as ever.
    """
    own, lock = client.workspace_name, threading.Lock()
    known: dict[str, Any] = {}

    def once(ask: Callable[..., Any]) -> Callable[..., Any]:
        def get(resource_group_name: str, workspace_name: str, **options: Any) -> Any:
            if workspace_name != own:
                return ask(resource_group_name, workspace_name, **options)
            with lock:
                if own not in known:
                    known[own] = ask(resource_group_name, workspace_name, **options)
                return known[own]

        return get

    # Each of them has the generated operations of a version of its own; what is asked of them is the same.
    for operations in (client.workspaces._operation, client.compute._workspace_operations):
        operations.get = once(operations.get)


def child_runs(client: Any, run_id: str) -> list[Any]:
    """Return a job's child runs as run history tells them, with their times and errors."""
    runs = client.jobs._runs_operations
    scope = runs._operation_scope
    return list(
        runs._operation.get_child(scope.subscription_id, scope.resource_group_name, runs._workspace_name, run_id)
    )


def run_details(client: Any, run_id: str) -> Any:
    """Return a run's details: its status, error, and the addresses of its logs."""
    return client.jobs._runs_operations.get_run_details(run_id)


def queue_of(client: Any, run_id: str) -> Any:
    """Return what run history says of a run's place in the queue, None if it says nothing."""
    found = client.jobs._runs_operations.get_run_data(run_id)
    return getattr(found.run_metadata, "queueing_info", None)


def raw_job(client: Any, name: str) -> Any:
    """Return a job as the wire has it: the typed one does not say whether it is archived."""
    return client.jobs._get_job(name)


def raw_compute(client: Any, name: str) -> Any:
    """Return a compute as the wire has it: the typed one drops its errors, its nodes and what they do."""
    operations = client.compute
    return operations._operation.get(operations._operation_scope.resource_group_name, operations._workspace_name, name)


def raw_endpoint(client: Any, name: str) -> Any:
    """Return an endpoint as the wire has it: the typed one asks for its deployments, too."""
    endpoints = client.online_endpoints
    return endpoints._online_operation.get(
        resource_group_name=endpoints._resource_group_name,
        workspace_name=endpoints._workspace_name,
        endpoint_name=name,
    )


def output_uris(client: Any, run_id: str, names: Sequence[str]) -> Mapping[str, str]:
    """Return where a run's outputs are, as the service says; those that it says nothing about are missing."""
    found: Mapping[str, str] = client.jobs._get_named_output_uri(run_id, list(names))
    return found


@frozen
class Cloud:
    """The Azure cloud that the SDK is set to: its scopes, and where one signs in."""

    management: str
    learning: str
    authority: str


def current_cloud() -> Cloud:
    """Return the cloud of AZUREML_CURRENT_CLOUD, the public one without (azure-ai-ml, _azure_environments)."""
    from azure.ai.ml._azure_environments import (
        _get_active_directory_url_from_metadata,
        _get_aml_resource_id_from_metadata,
        _get_base_url_from_metadata,
    )

    return Cloud(
        f"{_get_base_url_from_metadata()}/.default",
        f"{_get_aml_resource_id_from_metadata()}/.default",
        _get_active_directory_url_from_metadata(),
    )
