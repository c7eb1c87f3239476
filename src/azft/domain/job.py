"""A job as a plain value: print it, test it, store it, submit it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from azft.domain.compute import Compute
from azft.domain.data import PreparedData
from azft.domain.mappings import copied
from azft.domain.model import Model
from azft.domain.parameters import Parameters


@frozen
class Job:
    """Everything a backend needs to fine-tune: the model, prepared data, resolved parameters, compute and names.

    `key` is a digest of all that decides what the run makes, and `id` the name the run is to have; a backend names a
    job that has none.
    """

    display_name: str
    model_name: str
    experiment: str
    model: Model
    data: PreparedData
    compute: Compute
    component: str
    component_version: str
    parameters: Parameters
    tags: Mapping[str, str] = field(converter=copied, factory=dict)
    key: str = ""
    id: str = ""
