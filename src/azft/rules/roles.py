"""Which of a pipeline's inputs carry what: found by the names and types that its component declares.

Tried on the 30 fine-tuning pipelines of azureml-assets; what a name does not tell, the trainer's own spec says.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from attrs import evolve, fields

from azft.domain.component import Component, ComponentInput
from azft.domain.pipelines import GPUS, PipelineTrainer, Roles, first_of

MODEL_TYPES = ("mlflow_model", "custom_model")
FILE_TYPES = ("uri_file", "mltable", "uri_folder")
_DATA = r"(?:file_path|mltable_path|data|dataset|split|path)"
_SPLITS = {
    "train": re.compile(rf"(?:dataset_)?train(?:ing)?_{_DATA}"),
    "validation": re.compile(rf"(?:dataset_)?valid(?:ation)?_{_DATA}"),
    "test": re.compile(rf"(?:dataset_)?test_{_DATA}"),
}
_MODEL_IDS, _MODEL_NAMES = ("model_asset_id",), ("model_name", "model_id")
_MODEL = re.compile(r"(?:pytorch_|mlflow_|base_)?(?:\w+_)?model(?:_path)?")


def roles_of(component: Component, given: Roles) -> Roles:
    """Return the roles of the declared inputs; those that were given win.

    >>> inputs = (ComponentInput("mlflow_model_path", "mlflow_model"), ComponentInput("training_data", "mltable"))
    >>> found = roles_of(Component("c", "1", inputs, {"out": "mlflow_model"}), Roles())
    >>> found.model, found.train, found.output
    ('mlflow_model_path', ('training_data',), 'out')
    """
    inputs = component.inputs
    texts = [entry.name for entry in inputs if entry.type == "string" and entry.wired]
    model = _model(inputs)
    numbers = [entry.name for entry in inputs if entry.type in {"integer", "number"}]
    found = Roles(
        model=model,
        model_id=first_of(_MODEL_IDS, texts),
        model_name="" if model else first_of(_MODEL_NAMES, texts),
        **{split: _fitting(inputs, FILE_TYPES, pattern.fullmatch) for split, pattern in _SPLITS.items()},
        computes=tuple(name for name in texts if name == "compute" or name.startswith("compute_")),
        sizes=tuple(name for name in texts if name == "instance_type" or name.startswith("instance_type_")),
        gpus=first_of(GPUS, numbers),
        output=_output(component),
    )
    said = {entry.name: value for entry in fields(Roles) if (value := getattr(given, entry.name))}
    return evolve(found, **said)


def missing_roles(component: Component, trainer: PipelineTrainer) -> tuple[str, ...]:
    """Return what neither the declared inputs nor the trainer's spec tell: "model", "train" or "output"."""
    roles = roles_of(component, trainer.roles)
    wanted = {
        "model": roles.model or roles.model_id or roles.model_name,
        "train": roles.train,
        "output": roles.output,
    }
    return tuple(what for what, found in wanted.items() if not found and what not in trainer.lacks)


def unknown_roles(component: Component, trainer: PipelineTrainer) -> tuple[str, ...]:
    """Return the names in the trainer's spec that the component does not declare."""
    given = trainer.roles
    data = (*given.train, *given.validation, *given.test)
    names = {given.model, given.model_id, given.model_name, *data, *given.computes, *given.sizes, given.gpus}
    inputs = {entry.name for entry in component.inputs}
    wrong = sorted(name for name in (*names, *trainer.keys) if name and name not in inputs)
    return (*wrong, *([given.output] if given.output and given.output not in component.outputs else []))


def filled(roles: Roles) -> frozenset[str]:
    """Return the inputs that azft fills itself."""
    data = (*roles.train, *roles.validation, *roles.test)
    model = (roles.model, roles.model_id, roles.model_name)
    return frozenset(filter(None, (*model, *data, *roles.computes, *roles.sizes, roles.gpus)))


def data_input(component: Component, names: Iterable[str], kind: str) -> str:
    """Return the input of the named ones that takes data of that type, or else the first that takes a file or folder.

    A folder that is an MLTable is one for inputs of that type alone.
    """
    there = [entry for name in names if (entry := component.input(name)) is not None]
    exact = [entry.name for entry in there if entry.type == kind]
    others = [entry.name for entry in there if "mltable" not in (entry.type, kind)]
    return first_of((*exact, *others), (entry.name for entry in there))


def _model(inputs: Iterable[ComponentInput]) -> str:
    by_type = [entry.name for kind in MODEL_TYPES for entry in inputs if entry.type == kind]
    folders = _fitting(inputs, ("uri_folder",), _MODEL.fullmatch)
    return next(iter((*by_type, *folders)), "")


def _output(component: Component) -> str:
    by_type = [name for kind in MODEL_TYPES for name, given in component.outputs.items() if given == kind]
    folders = [name for name, kind in component.outputs.items() if kind == "uri_folder" and "model" in name]
    return next(iter((*by_type, *folders)), "")


def _fitting(
    inputs: Iterable[ComponentInput], kinds: Iterable[str], matches: Callable[[str], object]
) -> tuple[str, ...]:
    return tuple(entry.name for entry in inputs if entry.type in kinds and matches(entry.name))
