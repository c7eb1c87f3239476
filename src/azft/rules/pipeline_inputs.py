"""What a registry's pipeline is told beside model and data: only what somebody chose, encoded as it wants it."""

from __future__ import annotations

from collections.abc import Mapping

from azft.domain.component import Component
from azft.domain.compute import SERVERLESS, Compute
from azft.domain.data import DataFile, PreparedData
from azft.domain.findings import Finding
from azft.domain.model import Model
from azft.domain.parameters import Parameters
from azft.domain.pipelines import PipelineTrainer
from azft.domain.plan import Plan
from azft.domain.splits import SPLITS
from azft.rules.inputs import encode
from azft.rules.parameters import COMPONENT
from azft.rules.roles import data_input, roles_of

MLTABLE = "MLTable"
"""The file that makes a folder an MLTable."""

Told = str | int | float


def bypassing(plan: Plan) -> tuple[Finding, ...]:
    """Return an error for each input that would go past what was checked: files of one's own, or another machine."""
    roles = roles_of(plan.component, plan.trainer.tunes.roles)
    compute = plan.compute
    own: dict[str, Told] = dict.fromkeys(roles.computes, compute.name)
    own |= dict.fromkeys(roles.sizes, compute.size) if compute.name == SERVERLESS else {}
    findings = []
    for entry in plan.parameters.entries:
        if entry.source == COMPONENT or entry.value is None or entry.value == own.get(entry.name):
            continue
        if entry.name in (*roles.train, *roles.validation, *roles.test):
            found, fix = "would take the place of the prepared files, which were checked", "dataset= names the data"
        elif entry.name in (*roles.computes, *roles.sizes):
            found, fix = "is not the machine that the plan checks", "compute= names the machine of all steps"
        else:
            continue
        findings.append(
            Finding("AZFT-P023", "error", f"{entry.name} ({entry.source})", f"{entry.value!r} {found}", fix=fix)
        )
    return tuple(findings)


def pipeline_inputs(
    parameters: Parameters, component: Component, compute: Compute, model: Model, trainer: PipelineTrainer
) -> Mapping[str, Told]:
    """Return the inputs by name: where each step runs, the GPUs of a node, and the parameters that were chosen.

    A base model that is told as text, by its id or its name, is among them.
    """
    roles = roles_of(component, trainer.roles)
    known = {spec.name for spec in component.inputs}
    chosen: dict[str, Told] = {}
    for entry in parameters.entries:
        spec = component.input(entry.name)
        if entry.source != COMPONENT and spec is not None:
            value = encode(spec, entry.value)
            chosen |= {} if value is None else {entry.name: value}
    where: dict[str, Told] = dict.fromkeys(roles.computes, compute.name)
    sizes: dict[str, Told] = dict.fromkeys(roles.sizes, compute.size) if compute.name == SERVERLESS else {}
    told = {roles.model_id: model.id, roles.model_name: model.name}
    fixed = {roles.gpus: max(compute.gpus, 1), **told, **where, **sizes}
    return {**{name: value for name, value in fixed.items() if name in known}, **chosen}


def data_inputs(component: Component, trainer: PipelineTrainer, data: PreparedData) -> dict[str, tuple[str, str]]:
    """Return the input that takes each split, and its type; a split that nothing takes is left out."""
    roles = roles_of(component, trainer.roles)
    files = (data.train, data.validation, data.test)
    found = {
        split: data_input(component, roles.data(split), type_of(file))
        for split, file in zip(SPLITS, files, strict=True)
        if file.is_there
    }
    return {split: (name, entry.type) for split, name in found.items() if (entry := component.input(name)) is not None}


def type_of(file: DataFile) -> str:
    """Return Azure's word for what a file or folder is."""
    if not file.path.is_dir():
        return "uri_file"
    return "mltable" if (file.path / MLTABLE).is_file() else "uri_folder"
