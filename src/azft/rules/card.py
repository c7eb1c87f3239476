"""Read a model card from whatever a registry gives, newest place first; nothing here raises or evaluates."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from typing import Any, TypeVar

from attrs import evolve

from azft.domain.card import Fact, MinimumSize, ModelCard
from azft.domain.parameters import ParameterValue
from azft.rules.literals import Unparsable, read_literal

T = TypeVar("T")
Place = tuple[str, str]

SYSTEM, TAGS, PROPERTIES = "system_metadata", "tags", "properties"
_FINETUNE: Sequence[Place] = (
    (SYSTEM, "supportedComputes.finetuneComputes"),
    (SYSTEM, "SKU.finetuneRecommendedSkus"),
    (TAGS, "finetune_compute_allow_list"),
    (PROPERTIES, "finetune-recommended-sku"),
    (TAGS, "computes_allow_list"),
    (TAGS, "finetune_computes_allow_list"),
    (PROPERTIES, "inetune-recommended-sku"),
)
_INFERENCE: Sequence[Place] = (
    (SYSTEM, "supportedComputes.inferenceComputes"),
    (SYSTEM, "SKU.inferenceRecommendedSkus"),
    (TAGS, "inference_compute_allow_list"),
    (PROPERTIES, "inference-recommended-sku"),
    (TAGS, "inference_computes_allow_list"),
)
_MINIMUM: Sequence[Place] = (
    (SYSTEM, "SKU.finetuneMinSkuSpec"),
    (PROPERTIES, "finetune-min-sku-spec"),
    (PROPERTIES, "finetuning-min-sku-spec"),
)
_TASKS: Sequence[Place] = ((SYSTEM, "tasks.fineTuningTasks"), (PROPERTIES, "finetuning-tasks"))
_DEFAULTS: Sequence[Place] = ((SYSTEM, "model_specific_defaults"), (TAGS, "model_specific_defaults"))
_DEPRECATED: Sequence[Place] = (
    (SYSTEM, "deprecation.finetuneDeprecationDate"),
    (TAGS, "FinetuneDeprecationDate"),
)
_RETIRED: Sequence[Place] = ((SYSTEM, "deprecation.finetuneRetirementDate"), (TAGS, "FinetuneRetirementDate"))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_FIELDS_OF_MINIMUM = 4
_MOST_OF_MINIMUM = 10**6


def read_card(
    system_metadata: Mapping[str, Any], tags: Mapping[str, Any], properties: Mapping[str, Any], *, archived: bool
) -> ModelCard:
    """Return the card that a registry entry's three places give.

    >>> read_card({}, {"finetune_compute_allow_list": "['A_v1', 'B_v1 C_v1']"}, {}, archived=False).finetune_sizes.value
    ('A_v1', 'B_v1', 'C_v1')
    """
    places = {SYSTEM: system_metadata, TAGS: tags, PROPERTIES: properties}
    return ModelCard(
        tasks=_fact(places, _TASKS, read_names),
        finetune_sizes=_fact(places, _FINETUNE, read_names),
        inference_sizes=_fact(places, _INFERENCE, read_names),
        minimum=_fact(places, _MINIMUM, read_minimum),
        defaults=_fact(places, _DEFAULTS, read_defaults),
        deprecated=_fact(places, _DEPRECATED, read_day),
        retired=_fact(places, _RETIRED, read_day),
        archived=archived,
    )


def completed(card: ModelCard, table: ModelCard, label: str) -> ModelCard:
    """Return the card with what it does not know taken from an older table, and said so."""
    known = card.facts()
    taken: dict[str, Any] = {
        name: evolve(fact, source=label)
        for name, fact in table.facts().items()
        if fact.state == "known" and known[name].state == "unknown"
    }
    return evolve(card, **taken)


def same_size(one: str, other: str) -> bool:
    """Whether two spellings mean one machine size.

    >>> same_size("STANDARD-NC12s-v3", "Standard_NC12s_v3")
    True
    """
    return one.lower().replace("-", "_") == other.lower().replace("-", "_")


def read_names(raw: object) -> tuple[str, ...] | Unparsable | None:
    r"""Return the names in a list or in a text that spells one; None if there are none.

    Spaces of every kind separate, repeated names count once, and their first spelling is kept.

    >>> read_names("Standard_A, Standard_B,"), read_names("['Standard_A\\xa0', 'STANDARD_A']")
    (('Standard_A', 'Standard_B'), ('Standard_A',))
    """
    found = raw
    if isinstance(raw, str):
        text = raw.strip()
        if text in {"", "None", "null"}:
            return None
        found = read_literal(text) if text[0] in "[({'\"" or "(" in text else re.split(r"[,;]", text)
        found = [found] if isinstance(found, str) else found
    if found is None or isinstance(found, Unparsable):
        return found
    if not isinstance(found, list | tuple | set | frozenset) or any(not isinstance(entry, str) for entry in found):
        return Unparsable(str(raw), "not a list of names")
    names: dict[str, str] = {}
    for entry in found:
        for name in unicodedata.normalize("NFKC", entry).replace(",", " ").replace(";", " ").split():
            if not _NAME.fullmatch(name):
                return Unparsable(str(raw), f"{name[:40]!r} is not a name")
            names.setdefault(name.lower().replace("-", "_"), name)
    return tuple(names.values()) or None


def read_minimum(raw: object) -> MinimumSize | Unparsable | None:
    """Return the smallest machine, written as cores|GPUs|memory|disk.

    >>> read_minimum("4|1|28|176,"), read_minimum("24|1").why
    (MinimumSize(cores=4, gpus=1, memory_gib=28, disk_gib=176), 'not cores|GPUs|memory|disk')
    """
    if raw is None or (isinstance(raw, str) and not raw.strip()):
        return None
    parts = [part.strip() for part in str(raw).strip(" ,;").split("|") if part.strip()]
    numbers = [int(part) for part in parts if part.isdecimal() and len(part) < len(str(_MOST_OF_MINIMUM))]
    if len(parts) != _FIELDS_OF_MINIMUM or len(numbers) != len(parts):
        return Unparsable(str(raw), "not cores|GPUs|memory|disk")
    return MinimumSize(*numbers)


def read_defaults(raw: object) -> Mapping[str, ParameterValue] | Unparsable | None:
    """Return the plain values of a mapping, or of a text that spells one."""
    found = raw
    if isinstance(raw, str):
        found = None if raw.strip() in {"", "None", "null"} else read_literal(raw.strip())
    if found is None or isinstance(found, Unparsable):
        return found
    if not isinstance(found, Mapping):
        return Unparsable(str(raw), "not a mapping")
    plain = {str(name): value for name, value in found.items() if isinstance(value, str | int | float | bool)}
    return plain or None


def read_day(raw: object) -> date | Unparsable | None:
    """Return the day of an ISO date, with or without a time.

    >>> read_day("2025-08-30T00:00:00.000000Z")
    datetime.date(2025, 8, 30)
    """
    if raw is None or isinstance(raw, date):
        return raw
    text = str(raw).strip()
    try:
        return date.fromisoformat(text[:10]) if text else None
    except ValueError:
        return Unparsable(str(raw), "not a date")


def _fact(
    places: Mapping[str, Mapping[str, Any]], keys: Sequence[Place], read: Callable[[object], T | Unparsable | None]
) -> Fact[T]:
    """Return the first place's value that can be read; else the first that cannot; else unknown."""
    broken: Fact[T] | None = None
    for place, key in keys:
        found = read(_lookup(places[place], key))
        if isinstance(found, Unparsable):
            broken = broken or Fact(None, "unparsable", f"{place} {key}", found.raw)
        elif found is not None:
            return Fact(found, "known", f"{place} {key}")
    return broken or Fact()


def _lookup(place: Mapping[str, Any], key: str) -> object:
    """Return the entry of that key; one with dots may be nested instead."""
    if key in place:
        return place[key]
    head, _, rest = key.partition(".")
    inner = place.get(head)
    return _lookup(inner, rest) if rest and isinstance(inner, Mapping) else None
