"""Step 1: decide everything, change nothing, list every problem."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attrs import evolve

from azft.domain.data import DataSettings
from azft.domain.model import Model
from azft.domain.parameters import Layer, ParameterValue
from azft.domain.plan import Finding, Plan, Severity
from azft.domain.specs import DatasetSpec, ModelSpec, NamingContext, NamingScheme
from azft.errors import ComputeError
from azft.plugins.manager import Plugins
from azft.ports import Backend
from azft.rules.compute import compute_findings
from azft.rules.parameters import AZFT, MODEL, USER, Problem, resolve

TUTORIAL: Mapping[str, ParameterValue] = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "learning_rate": 5e-6,
    "lr_scheduler_type": "cosine",
    "apply_lora": True,
    "apply_deepspeed": True,
    "deepspeed_stage": "2",
}
"""azft's own layer: the parameters of the tutorial, weaker than the model's defaults."""


class Planner:
    """Makes plans for one backend with one set of plugins."""

    def __init__(self, backend: Backend, plugins: Plugins) -> None:
        self._backend = backend
        self._plugins = plugins

    def plan(
        self,
        model: ModelSpec,
        dataset: DatasetSpec,
        *,
        naming: NamingScheme,
        compute: str = "",
        data: DataSettings | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
    ) -> Plan:
        """Return the plan with the findings of the parameters, the backend, and every plugin's policy."""
        found = self._backend.find_model(model)
        machine = self._backend.find_compute(compute)
        if machine is None:
            raise ComputeError(f"compute {compute!r} cannot be used", compute_findings(compute, None, found))
        component = self._backend.component()
        layers = (Layer(USER, parameters or {}), Layer(MODEL, found.defaults), Layer(AZFT, TUTORIAL))
        resolved, problems = resolve(layers, component)
        chosen, notes = _fitting(dataset, found)
        context = NamingContext(found, dataset, resolved, gpus_per_node=max(machine.gpus, 1))
        plan = Plan(
            backend=self._backend.name,
            model=found,
            dataset=chosen,
            data=data or DataSettings(),
            compute=machine,
            component=component,
            parameters=resolved,
            display_name=naming.display_name(context),
            model_name=naming.model_name(context),
            experiment=f"chat_completion_{found.name}".replace("/", "-"),
            findings=(*notes, *map(_finding, problems)),
        )
        more = (*self._backend.check(plan), *self._plugins.findings(plan))
        return evolve(plan, findings=_ordered((*plan.findings, *more)))


def _fitting(dataset: DatasetSpec, model: Model) -> tuple[DatasetSpec, tuple[Finding, ...]]:
    """Give a stand-in model the dataset's stand-in source, and say so."""
    if not (model.stand_in and dataset.stand_in):
        return dataset, ()
    found = f"the model is a stand-in, so the data is {dataset.stand_in} in place of {dataset.source}"
    note = Finding("AZFT-D101", "note", dataset.name, found, fix="a model with weights gets the real data")
    return evolve(dataset, source=dataset.stand_in), (note,)


def _finding(problem: Problem) -> Finding:
    code = "AZFT-P001" if problem.found == "no such parameter" else "AZFT-P002"
    severity: Severity = "error" if problem.source == USER else "warning"
    return Finding(code, severity, f"{problem.name} ({problem.source})", problem.found, problem.expected, problem.fix)


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put errors first, and say the same thing once."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: rank[finding.severity]))
