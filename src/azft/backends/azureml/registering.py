"""The workspace's registry of models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.backends.azureml.jobs import OUTPUT
from azft.domain.resource import RegisteredModel
from azft.domain.run import Run

RUN = "azft.run"


class AzureModels:
    """Registers models once: the version is the second in which the job was created."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def register(self, run: Run, job: Any, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Return the version of `name` made from the run, creating it if there is none."""
        from azure.ai.ml.constants import AssetTypes
        from azure.ai.ml.entities import Model

        first = int(job.creation_context.created_at.timestamp())
        lineage = {key: str(value) for key, value in (job.tags or {}).items() if key.startswith("azft.")}
        version = str(first)
        while (known := self._find(name, version)) is not None:
            if (known.tags or {}).get(RUN) == run.id:
                return _registered(known)
            version = str(int(version) + 1)
        wanted = Model(
            path=f"azureml://jobs/{run.id}/outputs/{OUTPUT}",
            type=AssetTypes.MLFLOW_MODEL,
            name=name,
            version=version,
            description=f"{run.display_name}, fine-tuned by azft",
            tags={**lineage, **tags, RUN: run.id},
        )
        with translated(f"registering {name}:{version}"):
            return _registered(self._clients.workspace.models.create_or_update(wanted))

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of that name, none if there is no such model."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"models named {name!r}"):
            try:
                return tuple(str(model.version) for model in self._clients.workspace.models.list(name))
            except ResourceNotFoundError:
                return ()

    def archive(self, name: str, version: str) -> None:
        """Put a version out of sight; the SDK deletes no model."""
        with translated(f"archiving {name}:{version}"):
            self._clients.workspace.models.archive(name, version)

    def _find(self, name: str, version: str) -> Any:
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"model {name}:{version}"):
            try:
                return self._clients.workspace.models.get(name, version)
            except ResourceNotFoundError:
                return None


def _registered(model: Any) -> RegisteredModel:
    return RegisteredModel(model.name, str(model.version), str(model.id), "azureml", dict(model.tags or {}))
