"""The models of Azure's registry that azft knows by name."""

from azft.domain.specs import ModelSpec
from azft.plugins import hookimpl
from azft.snapshot import registry_models


@hookimpl
def azft_models() -> list[ModelSpec]:
    """Offer every model of the registry's snapshot, Phi-3-mini-4k-instruct and Phi-4 among them."""
    return [ModelSpec(entry.name) for entry in registry_models()]
