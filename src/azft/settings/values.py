"""The settings of a session as a file holds them: every key a field, every field with its default."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import asdict, field, frozen

from azft.domain.data import DataSettings
from azft.domain.parameters import ParameterValue
from azft.domain.specs import DatasetSpec, ModelSpec
from azft.errors import ConfigurationError


@frozen
class ModelSettings:
    """A model by name, and what a `ModelSpec` says of it beside."""

    name: str
    registry: str = "azureml"
    version: str = ""
    weights: str = ""
    trust_remote_code: bool = False
    chat_template: str = ""

    @property
    def spec(self) -> ModelSpec:
        """The same as a spec."""
        return ModelSpec(**asdict(self, recurse=False))


@frozen
class DatasetSettings:
    """A dataset by name and source, and what a `DatasetSpec` says of it beside."""

    name: str
    source: str
    train_split: str = "train"
    test_split: str = ""
    label: str = ""
    converter: str = ""
    columns: Mapping[str, str] = field(factory=dict)

    @property
    def spec(self) -> DatasetSpec:
        """The same as a spec."""
        return DatasetSpec(**asdict(self, recurse=False))


@frozen
class BackendSettings:
    """A backend by name, and what it is connected with, such as `workspace`."""

    name: str
    settings: Mapping[str, str | int | float | bool] = field(factory=dict)


@frozen
class SessionSettings:
    """Everything that a session is set to; paths are relative to the file.

    `model` and `dataset` are names on offer, or values; `dataset` may be a path or an address. `backend` is a name, or
    a name with settings. The others are as `FineTuneSession` takes them.
    """

    model: str | ModelSettings = "Phi-3-mini-4k-instruct"
    dataset: str | DatasetSettings = "ultrachat_200k"
    columns: Mapping[str, str] = field(factory=dict)
    naming: str = "tutorial"
    backend: str | BackendSettings = "local"
    compute: str = ""
    parameters: Mapping[str, ParameterValue] = field(factory=dict)
    recipe: str = ""
    trainer: str = ""
    prices: Mapping[str, float] = field(factory=dict)
    budget: float | None = None
    data: DataSettings = field(factory=DataSettings)
    tokenizer: str = ""
    workers: int | None = None
    folder: str = ".azft"


def session_arguments(settings: SessionSettings) -> dict[str, Any]:
    """Return the keyword arguments of a session; the backend is left to whoever connects."""
    model, dataset = settings.model, settings.dataset
    return {
        "model": model.spec if isinstance(model, ModelSettings) else model,
        "dataset": dataset.spec if isinstance(dataset, DatasetSettings) else dataset,
        "columns": dict(settings.columns) or None,
        "naming": settings.naming,
        "compute": settings.compute,
        "parameters": dict(settings.parameters),
        "recipe": settings.recipe,
        "trainer": settings.trainer,
        "prices": dict(settings.prices) or None,
        "budget": settings.budget,
        "data": settings.data,
        "tokenizer": settings.tokenizer or None,
        "workers": settings.workers,
        "folder": settings.folder,
    }


def backend_of(settings: SessionSettings) -> BackendSettings:
    """Return the backend with its settings."""
    backend = settings.backend
    return backend if isinstance(backend, BackendSettings) else BackendSettings(backend)


def as_model(spec: ModelSpec) -> ModelSettings:
    """Return what a file holds of a model; `ConfigurationError` for one with defaults of its own, which it cannot."""
    if spec.defaults:
        raise ConfigurationError(
            f"the model {spec.name} has defaults of its own, which no file can hold",
            hint="give them as parameters, or let a plugin offer the model",
        )
    weights = str(Path(spec.weights).absolute()) if spec.weights and Path(spec.weights).exists() else spec.weights
    return ModelSettings(spec.name, spec.registry, spec.version, weights, spec.trust_remote_code, spec.chat_template)


def as_dataset(spec: DatasetSpec) -> DatasetSettings:
    """Return what a file holds of a dataset; `ConfigurationError` for one whose rows are in memory."""
    if spec.rows is not None:
        raise ConfigurationError(
            "the session's rows are in memory, so no file can name them", hint="write them to a JSONL file first"
        )
    if spec.leave_out or spec.stand_in:
        raise ConfigurationError(
            f"the dataset {spec.name} leaves rows out or has a stand-in, which no file can hold",
            hint="let a plugin offer the dataset",
        )
    scheme, _, rest = spec.source.partition("://")
    source = f"file://{Path(rest).expanduser().absolute()}" if scheme == "file" else spec.source
    return DatasetSettings(
        spec.name, source, spec.train_split, spec.test_split, spec.label, spec.converter, dict(spec.columns)
    )
