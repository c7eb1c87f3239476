"""Find a registry's model, and read what the registry knows about it, wherever in the entry that stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from attrs import evolve

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import raw_model
from azft.domain.model import Model
from azft.domain.parameters import ParameterValue
from azft.domain.specs import ModelSpec
from azft.errors import NotFoundError, UnsupportedError
from azft.rules.compute import ALLOWED
from azft.rules.literals import read_list, read_mapping

INFERENCE = "inference_computes"
"""The fact of a model that lists, separated by commas, the sizes it may be deployed on."""
_FINETUNE_KEYS = ("supportedComputes.finetuneComputes", "finetune_compute_allow_list", "finetune-recommended-sku")
_INFERENCE_KEYS = ("supportedComputes.inferenceComputes", "inference_compute_allow_list", "inference-recommended-sku")


def find_registry_model(clients: Clients, spec: ModelSpec) -> Model:
    """Return the model by name and version, the latest one without; `NotFoundError` names the registry."""
    if spec.weights:
        raise UnsupportedError(
            f"model {spec.name!r}: weights= is for this machine; Azure takes models from a registry",
            hint="leave weights out, or connect to 'local'",
        )
    asked = f"model {spec.name!r}{f' version {spec.version}' if spec.version else ''} of registry {spec.registry!r}"
    client = clients.registry(spec.registry)
    try:
        with translated(asked, hint="see the names on ai.azure.com, or give ModelSpec(..., registry=)"):
            raw = raw_model(client, spec.name, spec.version)
    except IndexError:
        raise NotFoundError(f"{asked} does not exist", hint="see the names on ai.azure.com") from None
    return _model(raw, spec)


def _model(raw: Mapping[str, Any], spec: ModelSpec) -> Model:
    facts = read_facts(raw.get("properties") or {})
    defaults: dict[str, ParameterValue] = dict(read_mapping(facts.get("model_specific_defaults", "")))
    identity = str(raw.get("id", ""))
    found = Model(spec.name, str(raw.get("name") or identity.rpartition("/")[2]), identity, facts=facts)
    return evolve(found, defaults={**defaults, **spec.defaults}, trust_remote_code=spec.trust_remote_code)


def read_facts(properties: Mapping[str, Any]) -> dict[str, str]:
    """Return the entry's metadata as text by key, newest source first, with the lists of machine sizes under one name.

    >>> read_facts({"tags": {"finetune_compute_allow_list": "['A', 'B']"}})["finetune_computes"]
    'A,B'
    """
    sources = (
        properties.get("systemMetadata") or properties.get("system_metadata") or {},
        properties.get("tags") or {},
        properties.get("properties") or {},
    )
    facts: dict[str, str] = {}
    for source in sources:
        for key, value in source.items():
            facts.setdefault(str(key), value if isinstance(value, str) else repr(value))
    if properties.get("isArchived"):
        facts["archived"] = "true"
    for name, keys in ((ALLOWED, _FINETUNE_KEYS), (INFERENCE, _INFERENCE_KEYS)):
        sizes = next((found for key in keys if (found := read_list(facts.get(key, "")))), ())
        if sizes:
            facts[name] = ",".join(sizes)
    return facts
