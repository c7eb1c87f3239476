"""The steps of a registry's pipeline, and which stages of a run each of them tells."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from azft.snapshot import RegistryPipeline, registry_pipelines

STAGES = ("import", "preprocess", "finetune", "evaluate", "export")
CHAT = "chat_completion_pipeline"
NESTED = "chat_completion_pipeline"
"""The pipeline within the job that a script may put its steps into."""
_STAGES_OF = {
    "ft_nlp_common_validation": ("import",),
    "chat_completion_model_import": ("import",),
    "chat_completion_datapreprocess": ("preprocess",),
    "chat_completion_finetune": ("finetune",),
    "ft_nlp_model_converter": ("evaluate", "export"),
}
_COMPONENT = re.compile(r"azureml://registries/([^/]+)/components/([^/]+)/versions/([^/]+)")


@frozen
class Steps:
    """The steps of one pipeline in order, with the stages of a run that each tells; one of them trains."""

    stages: Mapping[str, Sequence[str]]

    @property
    def names(self) -> tuple[str, ...]:
        """The steps in order."""
        return tuple(self.stages)

    @property
    def all_stages(self) -> tuple[str, ...]:
        """The stages in order, each once."""
        return tuple(dict.fromkeys(stage for some in self.stages.values() for stage in some))

    @property
    def training(self) -> str:
        """The step that trains: the one that says so, or the middle one."""
        named = (name for name in self.names if "finetune" in name)
        return next(named, self.names[len(self.names) // 2])

    def step(self, name: str) -> str:
        """Return the step of that name, or the one that trains where there is none."""
        return name if name in self.stages else self.training

    @property
    def training_stage(self) -> str:
        """The stage in which losses are told."""
        return self.stages[self.training][0]


CHAT_STEPS = Steps(_STAGES_OF)
"""Those of `chat_completion_pipeline` 0.0.82 (azureml-assets); the first tells nothing of its own."""


def steps_of(pipeline: str, others: Mapping[str, RegistryPipeline] | None = None) -> Steps:
    """Return the steps of a pipeline of a registry by its name; those of an unknown one are one step."""
    if pipeline in {CHAT, ""}:
        return CHAT_STEPS
    known = {**registry_pipelines(), **(others or {})}.get(pipeline)
    names = known.steps if known and known.steps else (pipeline,)
    return Steps({name: (name,) for name in names})


def registry_node(properties: Mapping[str, Any]) -> tuple[str, str, str, dict[str, Any]] | None:
    """Return registry, name and version of the registry's component that a pipeline job runs, and its node."""
    for node in (properties.get("jobs") or {}).values():
        found = _COMPONENT.fullmatch(str(node.get("componentId"))) if isinstance(node, dict) else None
        if found:
            return found[1], found[2], found[3], dict(node)
    return None


def pipeline_name(properties: Mapping[str, Any]) -> str:
    """Return the name of the registry's pipeline that a job runs, or nothing."""
    found = registry_node(properties)
    return found[1] if found else ""
