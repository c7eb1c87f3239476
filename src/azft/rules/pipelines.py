"""What azft tells a registry's pipeline of its own accord, and what is wrong with a trainer's spec of one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from azft.domain.component import Component
from azft.domain.findings import Finding
from azft.domain.parameters import Parameters, ParameterValue
from azft.domain.pipelines import PipelineTrainer
from azft.domain.row_formats import RowFormat
from azft.rules.parameters import COMPONENT
from azft.rules.roles import missing_roles, unknown_roles
from azft.rules.suggest import did_you_mean

_WORDS = {"model": "takes the base model", "train": "takes the training data", "output": "is the tuned model"}


def layer_of(trainer: PipelineTrainer, rows: RowFormat, component: Component) -> Mapping[str, ParameterValue]:
    """Return azft's own layer: the names of the columns, for the inputs that are there, and the tutorial's parameters.

    An input that names a column a row may be without is left to whoever has that column.
    """
    there = {name: column for name, column in rows.keys.items() if component.input(name) is not None}
    return {**there, **trainer.keys, **trainer.parameters}


def pipeline_findings(
    component: Component, trainer: PipelineTrainer, rows: RowFormat, parameters: Parameters
) -> Iterator[Finding]:
    """Say what nobody tells of a pipeline's inputs and outputs, and which names it does not have."""
    if not component.inputs:
        return
    subject = f"trainer {trainer.component}"
    for what in missing_roles(component, trainer):
        found = f"none of its {'outputs' if what == 'output' else 'inputs'} {_WORDS[what]} by its name and type"
        fix = f"azft.Roles({what}=NAME) names it; lacks=({what!r},) says that there is none"
        yield Finding("AZFT-T007", "error", subject, found, "one that is named", fix)
    names = [*(entry.name for entry in component.inputs), *component.outputs]
    for name in unknown_roles(component, trainer):
        found = f"it names {name!r}, which {component.name} {component.version} does not have"
        meant = did_you_mean(name, names)
        yield Finding("AZFT-T008", "error", subject, found, "an input or output of it", meant or "name another one")
    yield from _of_columns(trainer, rows, parameters)


def _of_columns(trainer: PipelineTrainer, rows: RowFormat, parameters: Parameters) -> Iterator[Finding]:
    """Say which parameters name a column that the prepared files do not have."""
    if rows.as_is or rows.chats:
        return
    for name in dict.fromkeys((*rows.keys, *trainer.keys, *_KEYS)):
        if name not in parameters or parameters.explain(name).source == COMPONENT:
            continue
        value = parameters[name]
        if value is not None and value not in rows.names:
            found = f"{value!r}, and the prepared rows have {', '.join(rows.names)}"
            fix = f"leave it out; columns={{{value!r}: COLUMN}} maps the source's column to one of these"
            yield Finding("AZFT-T009", "error", f"{name} ({parameters.explain(name).source})", found, fix=fix)


_KEYS = ("sentence2_key", "ground_truth_key")
"""Inputs that name a column which a row may be without."""
