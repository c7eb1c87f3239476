"""Registries: where they are, their models of each era, and the fine-tuning component with its real inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.domain.component import ComponentInput
from azft.snapshot import RegistryVersion, chat_completion_pipeline, registry_versions
from azft.testing.emulator.clock import iso
from azft.testing.emulator.wire import DATA_PLANE, REGISTRY, Call, Operation, Reply, not_found, page
from azft.testing.emulator.world import World

VERSIONS = ("2021-10-01-dataplanepreview", "2022-10-01-preview")
HOST = "cert-{region}.experiments.azureml.net"
GROUP = "registries"


class Registries:
    """Registries by name; a model is a `RegistryVersion`."""

    def __init__(self, world: World, models: dict[str, list[RegistryVersion]]) -> None:
        self._world = world
        self._models = models

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
            Operation("GET", DATA_PLANE, discovery, self._discover, "SDK source", versions=("v1.0",)),
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

    def _component_versions(self, call: Call) -> Reply:
        if call["name"] != chat_completion_pipeline().name:
            return Reply({"value": []})
        return page([self._pipeline(call["registry"])], call)

    def _component(self, call: Call) -> Reply:
        known = chat_completion_pipeline()
        if (call["name"], call["version"]) != (known.name, known.version):
            raise not_found("Component", f"{call['name']}:{call['version']}")
        return Reply(self._pipeline(call["registry"]))

    def _pipeline(self, registry: str) -> dict[str, Any]:
        known = chat_completion_pipeline()
        spec = {
            "$schema": "https://azuremlschemas.azureedge.net/latest/pipelineComponent.schema.json",
            "name": known.name,
            "version": known.version,
            "display_name": "Chat Completion Pipeline",
            "description": "",
            "type": "pipeline",
            "is_deterministic": False,
            "inputs": {entry.name: _input(entry) for entry in known.inputs},
            "outputs": {
                "pytorch_model_folder": {"type": "uri_folder", "mode": "rw_mount"},
                "mlflow_model_folder": {"type": "mlflow_model", "mode": "rw_mount"},
            },
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
    newest: dict[tuple[str, str], RegistryVersion] = {}
    for entry in sorted(registry_versions(), key=lambda entry: entry.published):
        if entry.published <= day:
            newest[entry.name, entry.version] = entry
    return list(newest.values())


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
