"""The registry's fine-tuning pipelines, with the inputs they have today."""

from __future__ import annotations

import threading
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.domain.component import Component, ComponentInput
from azft.domain.pipelines import CHAT, PipelineTrainer
from azft.snapshot import registry_pipelines


class Components:
    """Pipeline components by registry, name and version; each is asked for once."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.RLock()

    def of(self, pipeline: PipelineTrainer = CHAT, version: str = "") -> Component:
        """Return the inputs and outputs of a version of the pipeline, or of the newest or the one it is pinned to.

        The plan keeps the version, so nothing changes under a job.
        """
        entity = self.entity(pipeline, version)
        known = registry_pipelines().get(pipeline.component)
        wired = {entry.name: entry.wired for entry in known.component.inputs} if known else {}
        inputs = (_input(name, spec, wired=wired.get(name, True)) for name, spec in entity.inputs.items())
        outputs = {name: str(spec["type"]) for name, spec in entity.outputs.items()}
        return Component(entity.name, entity.version, tuple(inputs), outputs)

    def entity(self, pipeline: PipelineTrainer = CHAT, version: str = "") -> Any:
        """Return the SDK's component."""
        registry, name, wanted = pipeline.registry, pipeline.component, version or pipeline.version
        asked = f"component {name} {wanted or '(latest)'} of registry {registry!r}"
        label = {"version": wanted} if wanted else {"label": "latest"}
        key = (registry, name, wanted)
        with self._lock, translated(asked):
            if key not in self._known:
                found = self._clients.registry(registry).components.get(name, **label)
                self._known[key] = self._known[registry, name, found.version] = found
            return self._known[key]


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
