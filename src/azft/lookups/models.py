"""List the models that can be tuned for a task, as the backend knows them today."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import date

from attrs import evolve

from azft.domain.card import ModelCard
from azft.domain.model import Model
from azft.domain.offers import ModelList, ModelOffer
from azft.domain.specs import ModelSpec
from azft.errors import BackendError, NotFoundError, UnknownNameError
from azft.ports import ModelSource
from azft.rules.suggest import did_you_mean
from azft.snapshot import registry_models, snapshot_card, taken

ALTERNATIVES = 2


def list_models(backend: ModelSource, specs: Iterable[ModelSpec], task: str, day: date) -> ModelList:
    """Return the models of `specs` that are for the task, or of which it is not known, those of today first.

    Errors: `UnknownNameError` for a task that no model of the registry has.
    A model that the backend does not have is left out; where it does not answer, the dated snapshot does.
    """
    tasks = {name for entry in registry_models() for name in snapshot_card(entry.name).tasks.value or ()}
    if task not in tasks:
        raise UnknownNameError(f"no task {task!r}", hint=did_you_mean(task, tasks))
    wanted = [spec for spec in specs if _may(snapshot_card(spec.name), task)]
    with ThreadPoolExecutor(8, thread_name_prefix="azft-models") as pool:
        answers = list(pool.map(lambda spec: _asked(backend, spec), wanted))
    known = [(spec, model) for spec, model in zip(wanted, answers, strict=True) if model is not None]
    offers = [
        ModelOffer(spec.name, model.version, model.card, model.card.lifecycle(day))
        for spec, model in known
        if _may(model.card, task)
    ]
    current = [offer.name for offer in offers if offer.lifecycle == "current"][:ALTERNATIVES]
    offers = [offer if offer.lifecycle == "current" else evolve(offer, instead=tuple(current)) for offer in offers]
    order = ("current", "deprecated", "retired")
    offers.sort(key=lambda offer: (order.index(offer.lifecycle), offer.name.lower()))
    offline = any(not model.id for _spec, model in known)
    return ModelList(task, tuple(offers), taken() if offline else "")


def _asked(backend: ModelSource, spec: ModelSpec) -> Model | None:
    try:
        return backend.find_model(spec)
    except NotFoundError:
        return None
    except BackendError:
        return Model(spec.name, spec.version, card=snapshot_card(spec.name))


def _may(card: ModelCard, task: str) -> bool:
    return card.tasks.value is None or task in card.tasks.value
