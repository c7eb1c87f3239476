"""What the registry's pipeline is told beside model and data: only what somebody chose, encoded as it wants it."""

from __future__ import annotations

from collections.abc import Mapping

from azft.domain.component import Component
from azft.domain.compute import SERVERLESS, Compute
from azft.domain.findings import Finding
from azft.domain.parameters import Parameters
from azft.domain.splits import SPLITS
from azft.rules.inputs import encode
from azft.rules.parameters import COMPONENT

GPUS = "number_of_gpu_to_use_finetuning"
_WHERE = ("compute_model_import", "compute_preprocess", "compute_finetune")
_SIZES = ("instance_type_model_import", "instance_type_preprocess", "instance_type_finetune")
_FILES = tuple(f"{split}_{kind}_path" for split in SPLITS for kind in ("file", "mltable"))
Told = str | int | float


def bypassing(parameters: Parameters, compute: Compute) -> tuple[Finding, ...]:
    """Return an error for each input that would go past what was checked: files of one's own, or another machine."""
    own: dict[str, Told] = dict.fromkeys(_WHERE, compute.name)
    own |= dict.fromkeys(_SIZES, compute.size) if compute.name == SERVERLESS else {}
    findings = []
    for entry in parameters.entries:
        if entry.source == COMPONENT or entry.value is None or entry.value == own.get(entry.name):
            continue
        if entry.name in _FILES:
            found, fix = "would take the place of the prepared files, which were checked", "dataset= names the data"
        elif entry.name in (*_WHERE, *_SIZES):
            found, fix = "is not the machine that the plan checks", "compute= names the machine of all steps"
        else:
            continue
        findings.append(
            Finding("AZFT-P023", "error", f"{entry.name} ({entry.source})", f"{entry.value!r} {found}", fix=fix)
        )
    return tuple(findings)


def pipeline_inputs(parameters: Parameters, component: Component, compute: Compute) -> Mapping[str, Told]:
    """Return the inputs by name: where each step runs, the GPUs of a node, and the parameters that were chosen."""
    known = {spec.name for spec in component.inputs}
    chosen: dict[str, Told] = {}
    for entry in parameters.entries:
        spec = component.input(entry.name)
        if entry.source != COMPONENT and spec is not None:
            value = encode(spec, entry.value)
            chosen |= {} if value is None else {entry.name: value}
    where: dict[str, Told] = dict.fromkeys(_WHERE, compute.name)
    sizes: dict[str, Told] = dict.fromkeys(_SIZES, compute.size) if compute.name == SERVERLESS else {}
    fixed = {GPUS: max(compute.gpus, 1), **where, **sizes}
    return {**{name: value for name, value in fixed.items() if name in known}, **chosen}
