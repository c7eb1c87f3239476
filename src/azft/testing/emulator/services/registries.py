"""Registries: where they are, their models of each era, and the fine-tuning pipelines with their real inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azft.domain.component import ComponentInput
from azft.snapshot import RegistryPipeline, RegistryVersion, registry_models, registry_versions
from azft.testing.emulator.api_versions import DATA_PLANE_VERSIONS
from azft.testing.emulator.clock import iso
from azft.testing.emulator.wire import DATA_PLANE, REGISTRY, Call, Operation, Reply, not_found, page
from azft.testing.emulator.world import World

VERSIONS = ("2021-10-01-dataplanepreview", "2022-10-01-preview")
HOST = "cert-{region}.experiments.azureml.net"
GROUP = "registries"


class Registries:
    """Registries by name; a model is a `RegistryVersion`. Every registry has the same pipelines."""

    def __init__(
        self, world: World, models: dict[str, list[RegistryVersion]], pipelines: Mapping[str, RegistryPipeline]
    ) -> None:
        self._world = world
        self._models = models
        self._pipelines = pipelines

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        discovery = "/registrymanagement/v1.0/registries/{registry}/discovery"
        paths = [
            ("models/{name}/versions", self._model_versions),
            ("models/{name}/versions/{version}", self._model),
            ("components/{name}/versions", self._component_versions),
            ("components/{name}/versions/{version}", self._component),
        ]
        note = "from a dated snapshot; an unknown name is an empty list, as the SDK expects"
        return [
            Operation("GET", DATA_PLANE, discovery, self._discover, "SDK source", versions=DATA_PLANE_VERSIONS),
            *(
                Operation("GET", HOST, f"{REGISTRY}/{path}", handler, "SDK source", versions=VERSIONS, note=note)
                for path, handler in paths
            ),
        ]

    def find(self, registry: str, name: str, version: str) -> RegistryVersion | None:
        """Return a model's version, or None."""
        return next((model for model in self._named(registry, name) if model.version == version), None)

    def _named(self, registry: str, name: str) -> list[RegistryVersion]:
        """Return the versions of a model, newest first."""
        found = [model for model in self._models.get(registry, []) if model.name == name]
        return sorted(found, key=lambda model: (model.published, model.version.zfill(8)), reverse=True)

    def _discover(self, call: Call) -> Reply:
        world = self._world
        if call["registry"] not in self._models:
            raise not_found("Registry", call["registry"])
        return Reply(
            {
                "registryName": call["registry"],
                "tenantId": world.tenant,
                "primaryRegion": world.region,
                "regions": [world.region],
                "subscriptionId": world.subscription,
                "resourceGroup": GROUP,
                "workspaceName": call["registry"],
                "primaryRegionResourceProviderUri": f"https://cert-{world.region}.experiments.azureml.net/",
                "registryFqdns": {world.region: {"uri": f"https://{world.host}"}},
            }
        )

    def _model_versions(self, call: Call) -> Reply:
        return page(
            [self._described(call["registry"], model) for model in self._named(call["registry"], call["name"])], call
        )

    def _model(self, call: Call) -> Reply:
        found = self.find(call["registry"], call["name"], call["version"])
        if found is None:
            raise not_found("Model", f"{call['name']}:{call['version']}")
        return Reply(self._described(call["registry"], found))

    def _described(self, registry: str, model: RegistryVersion) -> dict[str, Any]:
        properties: dict[str, Any] = {
            "description": "",
            "tags": dict(model.tags),
            "properties": dict(model.properties),
            "isArchived": model.archived,
            "isAnonymous": False,
            "flavors": {"python_function": {"data": {}}},
            "modelType": "MLFlow",
            "modelUri": f"https://registry.blob.core.windows.net/{registry}/{model.name}/{model.version}",
            "jobName": None,
        }
        if model.system_metadata:
            properties["systemMetadata"] = dict(model.system_metadata)
        return self._asset(
            f"azureml://registries/{registry}/models/{model.name}/versions", model.version, "models", properties
        )

    def pipeline(self, name: str, version: str = "") -> RegistryPipeline | None:
        """Return the pipeline of that name and version, or None."""
        found = self._pipelines.get(name)
        return found if found is not None and version in {"", found.component.version} else None

    def _component_versions(self, call: Call) -> Reply:
        found = self.pipeline(call["name"])
        return Reply({"value": []}) if found is None else page([self._pipeline(call["registry"], found)], call)

    def _component(self, call: Call) -> Reply:
        found = self.pipeline(call["name"], call["version"])
        if found is None:
            raise not_found("Component", f"{call['name']}:{call['version']}")
        return Reply(self._pipeline(call["registry"], found))

    def _pipeline(self, registry: str, pipeline: RegistryPipeline) -> dict[str, Any]:
        known = pipeline.component
        spec = {
            "$schema": "https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json",
            "name": known.name,
            "version": known.version,
            "display_name": known.name.replace("_", " ").title(),
            "description": "",
            "type": "pipeline",
            "is_deterministic": False,
            "inputs": {entry.name: _input(entry) for entry in known.inputs},
            "outputs": {name: {"type": kind, "mode": "rw_mount"} for name, kind in known.outputs.items()},
        }
        properties = {
            "description": "",
            "tags": {},
            "properties": {},
            "isArchived": False,
            "isAnonymous": False,
            "componentSpec": spec,
        }
        return self._asset(
            f"azureml://registries/{registry}/components/{known.name}/versions", known.version, "components", properties
        )

    def _asset(self, base: str, version: str, kind: str, properties: dict[str, Any]) -> dict[str, Any]:
        at = self._world.system_data(0) | {"createdAt": iso(0)}
        return {"id": f"{base}/{version}", "name": version, "type": kind, "properties": properties, "systemData": at}


def as_of_day(day: str) -> list[RegistryVersion]:
    """Return the registry's versions as they stood on a day: of one version's records, the newest by then."""
    newest = {(model.name, model.version): model for model in _undated()}
    for entry in sorted(registry_versions(), key=lambda entry: entry.published):
        if entry.published <= day:
            newest[entry.name, entry.version] = entry
    return list(newest.values())


def _undated() -> list[RegistryVersion]:
    """Return the models of other tasks than chat, of which only the day of the snapshot is known."""
    dated = {entry.name for entry in registry_versions()}
    return [
        RegistryVersion(
            entry.name,
            entry.version,
            "",
            archived=entry.archived,
            tags={name: str(value) for name, value in entry.tags.items()},
            system_metadata=entry.system_metadata,
        )
        for entry in registry_models()
        if entry.name not in dated
    ]


def _input(entry: ComponentInput) -> dict[str, Any]:
    described: dict[str, Any] = {"type": entry.type}
    if entry.default is not None:
        described["default"] = str(entry.default).lower() if isinstance(entry.default, bool) else str(entry.default)
    if entry.enum:
        described["enum"] = list(entry.enum)
    if entry.minimum is not None:
        described["min"] = f"{entry.minimum:g}"
    if entry.maximum is not None:
        described["max"] = f"{entry.maximum:g}"
    if entry.optional:
        described["optional"] = True
    return described
