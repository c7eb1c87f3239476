"""A model as a backend found it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from azft.domain.architecture import Architecture
from azft.domain.card import ModelCard
from azft.domain.mappings import copied
from azft.domain.parameters import ParameterValue


@frozen
class Model:
    """A model that exists: its identity, its own defaults, and what the backend knows about it.

    `defaults` is the "model defaults" layer. `weights` is a folder or hub id of real weights, empty if there are
    none. `stand_in` says that a small model of the same architecture takes its place. `card` is what the registry
    says about tuning it. `architecture` is its shape, None where it is not known. `chat_template` takes the place of
    the tokenizer's own.
    """

    name: str
    version: str = ""
    id: str = ""
    defaults: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)
    weights: str = ""
    stand_in: bool = False
    trust_remote_code: bool = False
    card: ModelCard = field(factory=ModelCard)
    architecture: Architecture | None = None
    chat_template: str = ""

    @property
    def tuned_by_registry(self) -> bool:
        """Whether the registry's own copy is tuned, so that the registry's rules hold."""
        return not (self.weights or self.stand_in)
