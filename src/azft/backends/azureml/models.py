"""Find a registry's model, and read what the registry knows about it, wherever in the entry that stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import raw_model
from azft.domain.model import Model
from azft.domain.specs import ModelSpec
from azft.errors import UnsupportedError
from azft.rules.card import read_card
from azft.snapshot import architecture_of, with_snapshot


def find_registry_model(clients: Clients, spec: ModelSpec) -> Model:
    """Return the model by name and version, the latest one without; `NotFoundError` names the registry."""
    if spec.weights:
        raise UnsupportedError(
            f"model {spec.name!r}: weights= is for this machine; Azure takes models from a registry",
            hint="leave weights out, or connect to 'local'",
        )
    asked = f"model {spec.name!r}{f' version {spec.version}' if spec.version else ''} of registry {spec.registry!r}"
    client = clients.registry(spec.registry)
    with translated(asked, hint="see the names on ai.azure.com, or give ModelSpec(..., registry=)"):
        raw = raw_model(client, spec.name, spec.version)
    return _model(raw, spec)


def _model(raw: Mapping[str, Any], spec: ModelSpec) -> Model:
    entry = raw.get("properties") or {}
    card = read_card(
        entry.get("systemMetadata") or entry.get("system_metadata") or {},
        entry.get("tags") or {},
        entry.get("properties") or {},
        archived=bool(entry.get("isArchived")),
    )
    identity = str(raw.get("id", ""))
    return Model(
        spec.name,
        str(raw.get("name") or identity.rpartition("/")[2]),
        identity,
        {**(card.defaults.value or {}), **spec.defaults},
        trust_remote_code=spec.trust_remote_code,
        card=with_snapshot(card, spec.name),
        architecture=architecture_of(spec.name),
        chat_template=spec.chat_template,
    )
