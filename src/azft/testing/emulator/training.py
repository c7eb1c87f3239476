"""A job as the Azure SDK sends it becomes a job of the local backend, which really trains."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import orjson

from azft.backends.local.inputs import local_component
from azft.domain.data import DataFile, DataSettings, PreparedData
from azft.domain.job import Job
from azft.domain.parameters import Layer
from azft.domain.rows import BadRow
from azft.domain.specs import ModelSpec
from azft.errors import AzftError, ConfigurationError, DatasetError
from azft.files import sha256_of
from azft.rules.chat import why_not_a_conversation
from azft.rules.parameters import resolve
from azft.snapshot import RegistryVersion
from azft.sources.files import parts_of_file
from azft.testing.emulator.steps import registry_node
from azft.testing.emulator.world import CONTAINER, World, folder_for, path_of

VALIDATION_SHARE = 0.2
"""The component cuts this off the end of the training file when it is given no validation file."""
_PARENT = re.compile(r"\$\{\{parent\.inputs\.(\w+)\}\}")
_REGISTRY_MODEL = re.compile(r"azureml://registries/([^/]+)/models/([^/]+)/versions/([^/]+)")


class JobRefusedError(AzftError):
    """The pipeline's first step would end the job."""


def bound_inputs(properties: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of the registry's pipeline in a job, with the job's own put in where they are bound."""
    found = registry_node(properties)
    if found is None:
        return {}
    outer = properties.get("inputs") or {}
    return {name: _bound(value, outer) for name, value in (found[3].get("inputs") or {}).items()}


def local_job(
    world: World, name: str, properties: Mapping[str, Any], find: Callable[[str, str, str], RegistryVersion | None]
) -> Job:
    """Return the job with its data laid out in files; `JobRefusedError` with what the validation step would say."""
    inputs = bound_inputs(properties)
    component = local_component()
    assets = {entry.name for entry in component.inputs if entry.is_asset}
    literals = {key: entry.get("value") for key, entry in inputs.items() if key not in assets}
    parameters, problems = resolve([Layer("job", literals)], component)
    if problems:
        raise JobRefusedError("; ".join(map(str, problems)))
    entry = _model(inputs, find)
    spec = ModelSpec(entry.name, version=entry.version, weights=entry.weights)
    compute = world.local.find_compute("")
    if compute is None:
        raise ConfigurationError("there is no machine to train on")
    return Job(
        display_name=str(properties.get("displayName") or name),
        model_name=name,
        experiment=str(properties.get("experimentName") or "Default"),
        model=world.local.find_model(spec),
        data=_data(world, name, inputs),
        compute=compute,
        component=component.name,
        component_version=component.version,
        parameters=parameters,
        tags={str(key): str(value) for key, value in (properties.get("tags") or {}).items()},
    )


def _bound(value: dict[str, Any], outer: Mapping[str, Any]) -> dict[str, Any]:
    found = _PARENT.fullmatch(str(value.get("value", "")))
    return dict(outer.get(found[1], {})) if found else value


def _model(inputs: Mapping[str, Any], find: Callable[[str, str, str], RegistryVersion | None]) -> RegistryVersion:
    uri = str((inputs.get("mlflow_model_path") or inputs.get("pytorch_model_path") or {}).get("uri", ""))
    found = _REGISTRY_MODEL.fullmatch(uri)
    entry = find(found[1], found[2], found[3]) if found else None
    if entry is None:
        raise JobRefusedError(f"model {uri or 'none'}: expected a model of an emulated registry in mlflow_model_path")
    return entry


def _data(world: World, name: str, inputs: Mapping[str, Any]) -> PreparedData:
    folder = folder_for(world.state.folder, f"data/{name}")
    rows = {
        split: list(_rows(_file(world, folder / "given", inputs, f"{split}_file_path")))
        for split in ("train", "validation", "test")
        if f"{split}_file_path" in inputs
    }
    if not rows.get("train"):
        raise JobRefusedError("train_file_path: no rows to train on")
    if "validation" not in rows:
        keep = max(1, round(len(rows["train"]) * (1 - VALIDATION_SHARE)))
        rows["validation"], rows["train"] = rows["train"][keep:], rows["train"][:keep]
    rows.setdefault("test", rows["validation"] or rows["train"][:1])
    files = {split: _written(folder / f"{split}.jsonl", rows[split]) for split in rows}
    digest = files["train"].sha256
    uri = str(inputs["train_file_path"].get("uri", ""))
    return PreparedData(name, uri, folder, files["train"], files["validation"], files["test"], DataSettings(), digest)


def _file(world: World, folder: Path, inputs: Mapping[str, Any], key: str) -> Path:
    uri = str(inputs[key].get("uri", ""))
    path = path_of(uri)
    found = world.blobs.link(CONTAINER, path, folder_for(folder, key)) if path else None
    if found is None or not found.exists():
        raise JobRefusedError(f"{key}: nothing at {uri or 'no address'}")
    if found.is_dir():
        raise JobRefusedError(f"{key}: {uri} is a folder, expected a file")
    return found


def _rows(path: Path) -> Iterable[bytes]:
    for row in (row for part in parts_of_file(path) for chunk in part.read(None) for row in chunk.rows()):
        reason = row.reason if isinstance(row, BadRow) else why_not_a_conversation(row.value)
        if reason:
            raise DatasetError(f"{path.name}, line {row.line}: {reason}")
        if not isinstance(row, BadRow):
            messages = [{"role": m["role"], "content": m["content"]} for m in row.value["messages"]]
            yield orjson.dumps({"messages": messages}) + b"\n"


def _written(path: Path, lines: Iterable[bytes]) -> DataFile:
    count = 0
    with path.open("wb") as out:
        for line in lines:
            out.write(line)
            count += 1
    return DataFile(path, count, sha256_of(path))
