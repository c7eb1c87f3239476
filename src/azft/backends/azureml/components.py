"""The registry's fine-tuning pipeline, with the inputs it has today."""

from __future__ import annotations

import threading
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.domain.component import Component, ComponentInput
from azft.snapshot import chat_completion_pipeline

NAME = "chat_completion_pipeline"
REGISTRY = "azureml"


class Components:
    """The component by version; each is asked for once."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[str, Any] = {}
        self._lock = threading.RLock()

    def latest(self) -> Component:
        """Return the newest version's inputs; the plan keeps the version, so nothing changes under a job."""
        return self.of("")

    def of(self, version: str) -> Component:
        """Return the inputs of that version, the newest one without."""
        entity = self.entity(version)
        wired = {entry.name: entry.wired for entry in chat_completion_pipeline().inputs}
        inputs = (_input(name, spec, wired=wired.get(name, True)) for name, spec in entity.inputs.items())
        return Component(entity.name, entity.version, tuple(inputs))

    def entity(self, version: str) -> Any:
        """Return the SDK's component of that version, the newest one without."""
        asked = f"component {NAME} {version or '(latest)'} of registry {REGISTRY!r}"
        label = {"version": version} if version else {"label": "latest"}
        with self._lock, translated(asked):
            if version not in self._known:
                found = self._clients.registry(REGISTRY).components.get(NAME, **label)
                self._known[version] = self._known[found.version] = found
            return self._known[version]


def _input(name: str, spec: Any, *, wired: bool) -> ComponentInput:
    kind = str(spec["type"])
    return ComponentInput(
        name,
        kind,
        spec.get("default"),
        tuple(map(str, spec.get("enum") or ())),
        _number(spec.get("min")),
        _number(spec.get("max")),
        bool(spec.get("optional", False)),
        wired,
    )


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
