"""The workspace's registry of models."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import TUNED
from azft.backends.azureml.errors import absent, translated
from azft.domain.resource import Leftover, RegisteredModel, Resource
from azft.domain.run import Run
from azft.errors import ConfigurationError, NotOursError
from azft.rules.marks import FOLDER, TOKEN, is_ours
from azft.rules.naming import name_findings

RUN = "azft.run"


class AzureModels:
    """Registers models once: the version is the second in which the job was created."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def register(self, run: Run, job: Any, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Return the version of `name` made from the run, creating it if there is none; no other one is changed."""
        from azure.ai.ml.entities import Model

        for problem in name_findings("name", name):
            raise ConfigurationError(f"{name!r} cannot name a model", hint=f"expected {problem.expected}")
        first = int(job.creation_context.created_at.timestamp())
        lineage = {
            key: str(value) for key, value in (job.tags or {}).items() if key.startswith("azft.") and key != TOKEN
        }
        version = str(first)
        while (known := self._find(name, version)) is not None:
            if (known.tags or {}).get(RUN) == run.id:
                return _registered(known)
            version = str(int(version) + 1)
        wanted = Model(
            path=f"azureml://jobs/{job.name}/outputs/{TUNED}",
            type=_type_of(job),
            name=name,
            version=version,
            description=f"{run.display_name}, fine-tuned by azft",
            tags={**lineage, **tags, RUN: run.id},
        )
        with translated(f"registering {name}:{version}"):
            return _registered(self._clients.workspace.models.create_or_update(wanted))

    def register_folder(self, folder: Path, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Return the version of `name` made from a folder of that content, uploading it if there is none."""
        from azure.ai.ml.constants import AssetTypes
        from azure.ai.ml.entities import Model

        known = self._all(name)
        for model in known:
            if (model.tags or {}).get(FOLDER) == tags[FOLDER]:
                return _registered(model)
        taken = {str(model.version) for model in known}
        version = int(time.time())
        while str(version) in taken:
            version += 1
        wanted = Model(
            path=str(folder),
            type=AssetTypes.MLFLOW_MODEL,
            name=name,
            version=str(version),
            description="registered by azft from a folder",
            tags=dict(tags),
        )
        with translated(f"registering {name}:{version}"):
            return _registered(self._clients.workspace.models.create_or_update(wanted))

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of that name, none if there is no such model."""
        return tuple(str(model.version) for model in self._all(name))

    def archive(self, name: str, version: str, token: str) -> None:
        """Put a version out of sight; the SDK deletes no model. Without a version, the one that bears the token."""
        if not version:
            found = [str(model.version) for model in self._all(name) if token and is_ours(model.tags, token)]
            for one in found:
                self.archive(name, one, token)
            return
        known = self._find(name, version)
        if known is None:
            return
        if not is_ours(known.tags, token):
            raise NotOursError(f"model {name}:{version} was made by somebody else, so it is left")
        with translated(f"archiving {name}:{version}"):
            self._clients.workspace.models.archive(name, version)

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every registered version that bears our marks."""
        with translated("listing models"):
            names = [str(model.name) for model in self._clients.workspace.models.list()]
        for name in names:
            for model in self._all(name):
                tags = model.tags or {}
                if TOKEN in tags:
                    resource = Resource("model", f"{name}:{model.version}", "azureml", str(tags[TOKEN]))
                    created = getattr(getattr(model, "creation_context", None), "created_at", None)
                    yield Leftover(resource, "registered", created.timestamp() if created else 0.0, price=0.0)

    def _all(self, name: str) -> list[Any]:
        with translated(f"models named {name!r}"):
            return absent(lambda: list(self._clients.workspace.models.list(name))) or []

    def _find(self, name: str, version: str) -> Any:
        with translated(f"model {name}:{version}"):
            return absent(lambda: self._clients.workspace.models.get(name, version))


def _type_of(job: Any) -> str:
    """Return the type of the model that a job has made: of some pipelines it is no MLflow model."""
    from azure.ai.ml.constants import AssetTypes

    made = (job.outputs or {}).get(TUNED)
    given = str(getattr(made, "type", None) or AssetTypes.MLFLOW_MODEL)
    return given if given == AssetTypes.MLFLOW_MODEL else str(AssetTypes.CUSTOM_MODEL)


def _registered(model: Any) -> RegisteredModel:
    return RegisteredModel(model.name, str(model.version), str(model.id), "azureml", dict(model.tags or {}))
