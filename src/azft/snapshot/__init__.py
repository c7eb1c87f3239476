"""Dated facts about Azure ML that ship with azft: a component's inputs, registry models, and the sample data."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from attrs import field, frozen

from azft.domain.architecture import Architecture
from azft.domain.card import ModelCard
from azft.domain.component import Component, ComponentInput
from azft.domain.compute import plain_region
from azft.domain.offers import Prices
from azft.rules.card import completed, read_card
from azft.rules.throughput import Published


@frozen
class RegistryEntry:
    """What the registry said about one model on the day of the snapshot; metadata is kept as it was found."""

    name: str
    version: str
    archived: bool
    tags: dict[str, Any] = field(factory=dict)
    system_metadata: dict[str, Any] = field(factory=dict)


@frozen
class RegistryVersion:
    """One version of a registry model as it stood from the day `published` (ISO date) on; tags are text."""

    name: str
    version: str
    published: str
    archived: bool = False
    tags: dict[str, str] = field(factory=dict)
    properties: dict[str, str] = field(factory=dict)
    system_metadata: dict[str, Any] = field(factory=dict)
    weights: str = ""


@frozen
class RegistryPipeline:
    """A pipeline of a registry: its component, and the names of its steps in order."""

    component: Component
    steps: tuple[str, ...]


@frozen
class JobEnvironment:
    """An image, the version of Python on top of it, and packages with their versions."""

    image: str
    python: str
    packages: dict[str, str]


@frozen
class VirtualMachine:
    """A machine size: cores, GPUs, memory and local disk in GiB, GPU memory each, 0 where that is not known.

    `retired` is a day or empty, and `peak` the dense 16-bit TFLOPS of one GPU, or of the part of one that the size has.
    """

    name: str
    cores: int
    gpus: int
    memory_gib: float
    disk_gib: int
    family: str
    gpu: str = ""
    gpu_memory_gib: float = 0.0
    retired: str = ""
    peak: float = 0.0


_MADE_BY = re.compile(r"^(?:mistralai|meta-llama|microsoft|google|tiiuae|qwen)-(?=[a-z])|^meta-(?=llama)")
_TUNED_FOR = re.compile(r"(?:-(?:instruct|chat|it|base|hf|\d{4}|v\d\d?|v\d\.\d))+$")


def _load(name: str) -> Any:
    return json.loads((files(__name__) / name).read_text(encoding="utf-8"))


@cache
def chat_completion_pipeline() -> Component:
    """Return the registry's chat fine-tuning pipeline component with its 69 inputs (azureml-assets, 0.0.82)."""
    return _component(_load("chat_completion_pipeline.json"))


@cache
def registry_pipelines() -> dict[str, RegistryPipeline]:
    """Return the fine-tuning pipelines of the registry "azureml" by name (azureml-assets at 4b41f8c)."""
    found = [_load("chat_completion_pipeline.json"), *_load("pipelines.json")["pipelines"]]
    return {entry["name"]: RegistryPipeline(_component(entry), tuple(entry["steps"])) for entry in found}


def _component(found: Any) -> Component:
    inputs = (ComponentInput(**{**entry, "enum": tuple(entry.get("enum", ()))}) for entry in found["inputs"])
    return Component(found["name"], found["version"], tuple(inputs), found["outputs"])


@cache
def job_environment() -> JobEnvironment:
    """Return what azft's engine runs in on other machines: the set of packages that this release was tested with."""
    found = _load("environment.json")
    return JobEnvironment(found["image"], found["python"], found["packages"])


@cache
def curated_environments() -> dict[str, str]:
    """Return the newest version of each environment that Microsoft publishes in the registry "azureml", by name."""
    return dict(_load("environments.json")["latest"])


@cache
def registry_models() -> tuple[RegistryEntry, ...]:
    """Return the models of the registry "azureml" that can be, or could once be, fine-tuned."""
    return tuple(RegistryEntry(**entry) for entry in _load("models.json")["models"])


@cache
def registry_versions() -> tuple[RegistryVersion, ...]:
    """Return the versions of those models through the eras: allow-lists in tags, then in `system_metadata`."""
    return tuple(RegistryVersion(**entry) for entry in _load("registry.json")["versions"])


@cache
def virtual_machines() -> tuple[VirtualMachine, ...]:
    """Return the machine sizes that fine-tuning meets, retired ones marked."""
    return tuple(VirtualMachine(**entry) for entry in _load("virtual_machines.json")["sizes"])


@cache
def taken() -> str:
    """Return the day (ISO date) of the snapshot of the registry's models."""
    return str(_load("models.json")["taken"])


@cache
def architectures() -> dict[str, Architecture]:
    """Return the shapes of the models that are known by name."""
    return {name: Architecture(**shape) for name, shape in _load("architectures.json")["models"].items()}


def architecture_of(name: str) -> Architecture | None:
    """Return the shape of a model by its name in a registry or a hub, tuned for chat or not; None if it is not known.

    >>> architecture_of("mistralai-Mistral-7B-Instruct-v01") == architecture_of("mistralai/Mistral-7B-v0.1")
    True
    >>> architecture_of("Mistral-8B") is None
    True
    """
    return _bare_names().get(_bare(name))


@cache
def _bare_names() -> dict[str, Architecture]:
    return {_bare(known): shape for known, shape in architectures().items()}


def _bare(name: str) -> str:
    """Return a model's name without who made it and what it was tuned for, in small letters."""
    return _TUNED_FOR.sub("", _MADE_BY.sub("", name.rpartition("/")[2].lower()))


@cache
def snapshot_card(name: str) -> ModelCard:
    """Return the model's card as of the snapshot; nothing is known of a model that is not in it."""
    entry = registry_model(name)
    return ModelCard() if entry is None else read_card(entry.system_metadata, entry.tags, {}, archived=entry.archived)


def with_snapshot(card: ModelCard, name: str) -> ModelCard:
    """Return the card with what it does not know taken from the snapshot, which is named with its day."""
    return completed(card, snapshot_card(name), f"azft's table of {taken()}")


def machine(name: str) -> VirtualMachine | None:
    """Return the machine size of that name, whatever its case."""
    return next((size for size in virtual_machines() if size.name.lower() == name.lower()), None)


@cache
def list_prices(region: str = "") -> Prices:
    """Return dated list prices of GPU sizes in a region, East US unless given; a size that is not listed has none."""
    found = _load("prices.json")
    place = plain_region(region) or "eastus"
    label = f"{found['currency']}, {place}, dedicated, list of {found['taken']}"
    return Prices(found["an_hour"].get(place, {}), label)


@cache
def published_speeds() -> tuple[Published, ...]:
    """Return speeds of fine-tuning that others have published."""
    return tuple(Published(**row) for row in _load("throughput.json")["rows"])


def registry_model(name: str) -> RegistryEntry | None:
    """Return the entry of that name, or None."""
    return next((entry for entry in registry_models() if entry.name == name), None)


def sample_folder() -> Path:
    """Return the folder with the sample's splits, one JSONL file each."""
    return Path(str(files(__name__) / "ultrachat_sample"))
