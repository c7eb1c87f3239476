"""The inputs of a fine-tuning component, as data."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from azft.domain.mappings import copied
from azft.domain.parameters import ParameterValue

ASSET_TYPES = ("custom_model", "mlflow_model", "mltable", "uri_file", "uri_folder")


@frozen
class ComponentInput:
    """One input of a component.

    `type` is Azure's word for it ("string", "integer", "number", "boolean", or an asset type such as "uri_file").
    `enum` empty means any value; `minimum` and `maximum` are inclusive. `wired` is false for an input the
    component declares and then connects to nothing.
    """

    name: str
    type: str
    default: ParameterValue = None
    enum: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    optional: bool = True
    wired: bool = True

    @property
    def is_flag(self) -> bool:
        """Whether it is a switch; Azure declares most switches as the texts "true" and "false"."""
        return self.type == "boolean" or set(self.enum) == {"true", "false"}

    @property
    def is_asset(self) -> bool:
        """Whether it takes a file, a folder or a model rather than a plain value."""
        return self.type in ASSET_TYPES


@frozen
class Component:
    """A pipeline component: its name, exact version, inputs, and the types of its outputs by name."""

    name: str
    version: str
    inputs: tuple[ComponentInput, ...]
    outputs: Mapping[str, str] = field(converter=copied, factory=dict)

    def input(self, name: str) -> ComponentInput | None:
        """Return the input of that name, or None."""
        return next((known for known in self.inputs if known.name == name), None)
