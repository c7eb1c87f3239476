"""Ask a backend everything a plan needs, all at once; what does not answer becomes a finding."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from attrs import frozen

from azft.domain.component import Component
from azft.domain.compute import Compute, Usage
from azft.domain.findings import Finding
from azft.domain.model import Model
from azft.domain.pipelines import PipelineTrainer
from azft.domain.specs import ModelSpec
from azft.domain.trainers import Trainer
from azft.errors import AuthenticationError, BackendError, NotFoundError, UnreachableError
from azft.ports import TRAINER, Backend
from azft.rules.engine_inputs import engine_component
from azft.rules.lifecycle import NO_MODEL
from azft.rules.suggest import did_you_mean, near
from azft.snapshot import (
    architecture_of,
    chat_completion_pipeline,
    registry_models,
    registry_pipelines,
    snapshot_card,
    taken,
)

T = TypeVar("T")
Said = Callable[[BackendError], Finding]
REFUSED = "AZFT-A004"
_CODES: tuple[tuple[type[BackendError], str, str], ...] = (
    (AuthenticationError, "AZFT-A001", "sign-in"),
    (UnreachableError, "AZFT-A003", "network"),
    (NotFoundError, "AZFT-A002", "workspace"),
)


@frozen
class Found:
    """What the backend said; `snapshot` is the day of the facts that stand in for what it did not say."""

    model: Model
    compute: Compute | None
    component: Component
    usage: tuple[Usage, ...]
    findings: tuple[Finding, ...]
    snapshot: str


def look_up(backend: Backend, spec: ModelSpec, compute: str, trainer: Trainer = TRAINER) -> Found:
    """Ask for model, compute, component and quotas side by side; `trainer` is whose inputs are wanted.

    A misspelt model, a missing compute or workspace, nobody signed in, no network: each becomes a finding, and the
    package's dated snapshot says the rest, so that everything else can still be checked.
    """
    with ThreadPoolExecutor(4, thread_name_prefix="azft-plan") as pool:
        model = pool.submit(backend.find_model, spec)
        machine = pool.submit(backend.find_compute, compute)
        chosen = trainer.own or trainer.pipeline is not None
        component = pool.submit(backend.component, trainer) if chosen else pool.submit(backend.component)
        usage = pool.submit(backend.usage)
    problems: list[Finding] = []
    stand_ins: list[str] = []

    def answer(
        asked: Future[Any], otherwise: Callable[[], T], *, missing: Callable[[BackendError], Finding] | None = None
    ) -> T:
        try:
            found: T = asked.result()
        except BackendError as error:
            stand_ins.append(str(error))
            not_there = missing is not None and isinstance(error, NotFoundError)
            problems.append(missing(error) if missing is not None and not_there else _finding(error, backend.name))
            return otherwise()
        return found

    def remembered() -> Component:
        if trainer.own:
            return engine_component(chat_completion_pipeline(), datetime.now(UTC).date())
        known = registry_pipelines().get(trainer.tunes.component)
        return known.component if known else Component(trainer.tunes.component, trainer.tunes.version, ())

    no_quotas: Callable[[], tuple[Usage, ...]] = tuple
    quotas = answer(usage, no_quotas)
    return Found(
        answer(model, lambda: _remembered(spec), missing=partial(_no_model, spec)),
        answer(machine, lambda: Compute(compute, "unknown", state="unknown")),
        answer(component, remembered, missing=None if trainer.own else partial(_no_component, trainer.tunes)),
        tuple(quotas),
        tuple({_sameness(finding): finding for finding in problems}.values()),
        taken() if stand_ins else "",
    )


def name_taken(backend: Backend, name: str) -> tuple[Finding, ...]:
    """Say that the registered name exists already, or that nobody could tell."""
    try:
        versions = backend.versions(name)
    except BackendError as error:
        return (_finding(error, backend.name),)
    if not versions:
        return ()
    found = f"it has {len(versions)} version{'s' if len(versions) > 1 else ''} already"
    return (Finding("AZFT-N003", "note", name, found, fix="the run's model becomes one more version"),)


def _remembered(spec: ModelSpec) -> Model:
    """Return the model as the snapshot knows it."""
    card = snapshot_card(spec.name)
    defaults = {**(card.defaults.value or {}), **spec.defaults}
    shape = architecture_of(spec.name)
    return Model(spec.name, spec.version, "", defaults, weights=spec.weights, card=card, architecture=shape)


def _no_model(spec: ModelSpec, error: BackendError) -> Finding:
    """Say what is missing: of weights that were given, what the backend found wrong with them."""
    if spec.weights:
        return Finding(NO_MODEL, "error", spec.name, error.message, "weights that can be tuned", error.hint)
    version = f" version {spec.version}" if spec.version else ""
    found = f"registry {spec.registry!r} has no such model{version}"
    names = [entry.name for entry in registry_models() if entry.name != spec.name]
    meant = near(spec.name, names)
    elsewhere = "look for it on ai.azure.com; one of another registry is ModelSpec(NAME, registry='azureml-meta')"
    fix = "leave the version out" if version else f"did you mean {meant!r}?" if meant else elsewhere
    return Finding(NO_MODEL, "error", spec.name, found, "a model of the registry", fix)


def _no_component(trainer: PipelineTrainer, _error: BackendError) -> Finding:
    version = f" version {trainer.version}" if trainer.version else ""
    found = f"the registry does not give the component {trainer.component}{version}"
    meant = did_you_mean(trainer.component, registry_pipelines())
    fix = f"{meant}; or " if meant and trainer.component not in registry_pipelines() else ""
    fix += f"ask for access to the registry {trainer.registry!r}"
    return Finding(REFUSED, "error", trainer.component, found, "the component", fix)


def _sameness(finding: Finding) -> str:
    """Return what makes two findings one: several questions that meet the same closed door, but not two refusals."""
    return str(finding) if finding.code == REFUSED else finding.code


def _finding(error: BackendError, backend: str) -> Finding:
    for kind, code, subject in _CODES:
        if isinstance(error, kind):
            return Finding(code, "error", subject, error.message, fix=error.hint or "fix it and plan again")
    return Finding(REFUSED, "error", backend, error.message, fix=error.hint or "fix it and plan again")
