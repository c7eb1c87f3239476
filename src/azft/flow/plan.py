"""Step 1: decide everything, change nothing, list every problem."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, date, datetime

from attrs import evolve

from azft.domain.compute import Compute
from azft.domain.data import DataSettings, PreparedData
from azft.domain.findings import Finding, Severity
from azft.domain.model import Model
from azft.domain.parameters import Layer, ParameterValue
from azft.domain.plan import Plan, nodes_of
from azft.domain.specs import DatasetSpec, ModelSpec, NamingContext, NamingScheme, Recipe
from azft.domain.trainers import PIPELINE, Trainer
from azft.gate.reading import Convert
from azft.lookups.data import AZUREML, DataLooks
from azft.lookups.services import look_up, name_taken
from azft.lookups.tokenizers import OwnTokenizers
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import Plugins
from azft.ports import Backend
from azft.rules.devices import gpus_used, processes_used
from azft.rules.engine_memory import memory_ahead
from azft.rules.memory import memory_look
from azft.rules.parameters import AZFT, BOUNDS, MODEL, RECIPE, TRAINER, USER, Problem, resolve
from azft.rules.pipelines import layer_of, pipeline_findings
from azft.rules.roles import filled as filled_by_azft
from azft.rules.roles import roles_of


class Planner:
    """Makes plans for one backend with one set of plugins; `day` is the day to plan for, today without.

    `tokenizers` load those of weights that are here, and `convert` is the user's own function of a row.
    """

    def __init__(
        self,
        backend: Backend,
        plugins: Plugins,
        *,
        day: date | None = None,
        tokenizers: OwnTokenizers | None = None,
        convert: Convert | None = None,
    ) -> None:
        self._backend = backend
        self._plugins = plugins
        self._catalogue = Catalogue(plugins)
        self._day = day or datetime.now(UTC).date()
        self._looks = DataLooks(backend, self._catalogue, tokenizers or OwnTokenizers(), convert, self._day)

    def plan(
        self,
        model: ModelSpec,
        dataset: DatasetSpec,
        *,
        naming: NamingScheme,
        compute: str = "",
        data: DataSettings | None = None,
        parameters: Mapping[str, ParameterValue] | None = None,
        recipe: Recipe | None = None,
        prepared: PreparedData | None = None,
        trainer: Trainer | None = None,
    ) -> Plan:
        """Return the plan with the findings of every look-up, the parameters, the backend, and every plugin.

        Where `prepared` is of the same source and settings, rows and tokens are its own, and nothing is estimated.
        """
        trainer = trainer or Trainer()
        tunes, rows = trainer.tunes, self._catalogue.row_formats.pick(trainer.tunes.rows)
        found = look_up(self._backend, model, compute, trainer)
        machine = found.compute or Compute(compute or "compute", "")
        layers = (
            Layer(USER, parameters or {}),
            Layer(RECIPE, recipe.values if recipe else {}),
            Layer(MODEL, found.model.defaults),
            Layer(TRAINER if trainer.kind == PIPELINE else AZFT, layer_of(tunes, rows, found.component)),
        )
        filled = filled_by_azft(roles_of(found.component, tunes.roles))
        resolved, problems = resolve(layers, found.component, filled=() if trainer.own else filled)
        chosen, notes = _fitting(dataset, found.model)
        settings = data or DataSettings()
        gpus, nodes = gpus_used(resolved, machine), nodes_of(resolved)
        seen = self._looks.known(
            chosen,
            settings,
            found.model,
            resolved,
            prepared,
            devices=processes_used(resolved, machine.gpus) * nodes,
            own=trainer.own,
            rows=rows,
        )
        gpus_per_node = max(machine.gpus, 1)
        context = NamingContext(found.model, dataset, resolved, gpus_per_node=gpus_per_node, trainer=trainer)
        names, named = _names(naming, context)
        plan = Plan(
            backend=self._backend.name,
            model=found.model,
            dataset=chosen,
            data=settings,
            compute=machine,
            component=found.component,
            parameters=resolved,
            display_name=names[0],
            model_name=names[1],
            experiment=f"{tunes.component.removesuffix('_pipeline')}_{found.model.name}".replace("/", "-"),
            findings=(
                *found.findings,
                *notes,
                *_bounds(found.model),
                *map(_finding, problems),
                *seen.findings,
                *named,
                *_of_trainer(trainer, self._backend),
                *(pipeline_findings(found.component, tunes, rows, resolved) if trainer.kind == PIPELINE else ()),
                *name_taken(self._backend, names[1]),
            ),
            day=self._day,
            usage=found.usage,
            look=seen.look,
            forecast=seen.forecast,
            snapshot=found.snapshot,
            trainer=trainer,
            memory=memory_look(
                found.model,
                resolved,
                machine,
                gpus=gpus,
                nodes=nodes,
                tokens=seen.look.tokens if seen.look else 0.0,
                longest=seen.look.longest if seen.look else 0,
            )
            if tunes.chats
            else None,
        )
        if trainer.own:
            plan = evolve(plan, memory=memory_ahead(plan) if self._backend.name == AZUREML else plan.memory)
        more = (*self._backend.check(plan), *self._plugins.findings(plan))
        return evolve(plan, findings=_ordered((*plan.findings, *more)))


def _of_trainer(trainer: Trainer, backend: Backend) -> tuple[Finding, ...]:
    """Say where a backend cannot run what is to train."""
    known: Collection[str] = getattr(backend, "trainers", ())
    if not trainer.name or trainer.kind in known:
        return ()
    said = f"the backend {backend.name!r} does not run it"
    expected = f"one of {', '.join(known)}" if known else "the backend's own, without trainer="
    fix = "choose another, or backend='local', which runs scripts and azft's engine"
    return (Finding("AZFT-T001", "error", f"trainer {trainer.name}", said, expected, fix),)


def _names(naming: NamingScheme, context: NamingContext) -> tuple[tuple[str, str], tuple[Finding, ...]]:
    """Return display and registered name; a scheme that fails is a finding, as it is somebody else's code."""
    try:
        return (naming.display_name(context), naming.model_name(context)), ()
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        found = f"it failed: {type(error).__name__}: {error}"
        plain = context.model.name.replace("/", "-")
        finding = Finding("AZFT-N004", "error", f"naming scheme {naming.name}", found, "two names", "fix the scheme")
        return (plain, plain), (finding,)


def _bounds(model: Model) -> tuple[Finding, ...]:
    """Say which keys of the model's defaults are bounds: passed on as inputs, they would fail the job."""
    return tuple(
        Finding(
            "AZFT-P008", "note", key, f"it is no input; {BOUNDS[key][0]} is held {BOUNDS[key][1]} it", fix="nothing"
        )
        for key in model.defaults
        if key in BOUNDS
    )


def _fitting(dataset: DatasetSpec, model: Model) -> tuple[DatasetSpec, tuple[Finding, ...]]:
    """Give a stand-in model the dataset's stand-in source, and say so."""
    if not (model.stand_in and dataset.stand_in):
        return dataset, ()
    found = f"the model is a stand-in, so the data is {dataset.stand_in} in place of {dataset.source}"
    note = Finding("AZFT-D101", "note", dataset.name, found, fix="a model with weights gets the real data")
    return evolve(dataset, source=dataset.stand_in, leave_out=()), (note,)


def _finding(problem: Problem) -> Finding:
    severity: Severity = (
        "error" if problem.source in {USER, RECIPE, TRAINER} or problem.code == "AZFT-P006" else "warning"
    )
    fix = problem.fix or "give a value that fits, or leave it out"
    return Finding(problem.code, severity, f"{problem.name} ({problem.source})", problem.found, problem.expected, fix)


def _ordered(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Put errors first, and say the same thing once."""
    rank = {"error": 0, "warning": 1, "note": 2}
    return tuple(sorted(dict.fromkeys(findings), key=lambda finding: rank[finding.severity]))
