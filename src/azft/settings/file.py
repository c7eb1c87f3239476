"""Read a file of settings, every fault with its place, and write one."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import yaml

from azft.domain.data import DataSettings
from azft.errors import ConfigurationError
from azft.files import write_whole
from azft.settings.shape import Place, schema_of, wrong_places
from azft.settings.values import BackendSettings, DatasetSettings, ModelSettings, SessionSettings

FILE = "file://"
KINDS = (".yaml", ".yml", ".toml")
_PARTS = (("model", ModelSettings), ("dataset", DatasetSettings), ("backend", BackendSettings))
TITLE = "azft: the settings of a fine-tuning session"


def read_settings(path: str | Path) -> SessionSettings:
    """Return the settings of a YAML or TOML file; paths in it are relative to it.

    Errors: `ConfigurationError` with every fault, each with the file, its line (YAML) and its key.
    """
    path = Path(path)
    loaded, lines = _loaded(path)
    wrong = [
        f"{path}{_at(lines, place)}: {_key(place)} {said}" for place, said in wrong_places(loaded, SessionSettings)
    ]
    if wrong:
        raise ConfigurationError(f"{path} holds settings that do not fit", problems=wrong, hint="azft schema has them")
    made = _structured(loaded, path)
    return _beside(made, path.absolute().parent, loaded)


def write_settings(settings: SessionSettings, path: str | Path) -> Path:
    """Write what differs from the defaults to a YAML file, whole or not at all, and return its path."""
    path = Path(path)
    if path.suffix.lower() not in KINDS[:2]:
        raise ConfigurationError(f"{path} is no YAML file", hint="let its name end with .yaml")
    held = _differing(attrs.asdict(settings), attrs.asdict(SessionSettings()))
    try:
        text = yaml.safe_dump(held, sort_keys=False, allow_unicode=True)
    except yaml.YAMLError as error:
        raise ConfigurationError(
            f"the settings cannot be written: {error}", hint="give plain numbers and text"
        ) from None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, f"# Settings of azft; `azft schema` prints what may stand here.\n{text}".encode())
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}", hint="give another place") from None
    return path


def schema() -> dict[str, Any]:
    """Return the JSON schema of a file of settings, by which editors complete and check it."""
    return schema_of(SessionSettings, TITLE)


def _loaded(path: Path) -> tuple[Any, dict[Place, int]]:
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise ConfigurationError(f"{path}: unknown kind of settings", hint=f"a file ending with {', '.join(KINDS)}")
    try:
        text = path.read_text(encoding="utf-8-sig")
        if kind == ".toml":
            return tomllib.loads(text), {}
        tree = yaml.compose(text, yaml.SafeLoader)
        if tree is None:
            return {}, {}
        return yaml.safe_load(text), dict(_lines(tree, ()))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}", hint="give a file that is there") from None
    except (yaml.YAMLError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is not {kind[1:].upper()}: {error}", hint="see the place that it names"
        ) from None


def _lines(node: yaml.Node, place: Place) -> list[tuple[Place, int]]:
    """Return the line of each key and item."""
    found = [(place, node.start_mark.line + 1)]
    if isinstance(node, yaml.MappingNode):
        for key, inner in node.value:
            at = (*place, str(key.value))
            if any(known == at for known, _line in found):
                raise yaml.YAMLError(f"line {key.start_mark.line + 1}: the key {key.value!r} stands twice")
            found += [*_lines(inner, at), (at, key.start_mark.line + 1)]
    elif isinstance(node, yaml.SequenceNode):
        for number, inner in enumerate(node.value):
            found += _lines(inner, (*place, number))
    return found


def _at(lines: Mapping[Place, int], place: Place) -> str:
    return f", line {lines[place]}" if place in lines else ""


def _key(place: Place) -> str:
    return ".".join(map(str, place)) or "the file"


def _structured(loaded: Mapping[str, Any], path: Path) -> SessionSettings:
    values = dict(loaded)
    for name, kind in _PARTS:
        if isinstance(values.get(name), Mapping):
            values[name] = kind(**values[name])
    at = "data"
    try:
        if "data" in values:
            values["data"] = DataSettings(**values["data"])
        for at in ("model", "dataset"):
            if isinstance(values.get(at), ModelSettings | DatasetSettings):
                values[at].spec  # noqa: B018 - a spec refuses what it cannot be
    except ConfigurationError as error:
        raise ConfigurationError(f"{path}: {at}: {error.message}", hint=error.hint) from None
    return SessionSettings(**values)


def _beside(settings: SessionSettings, folder: Path, said: Mapping[str, Any]) -> SessionSettings:
    """Return the settings with paths that the file says, and that are relative to it, made whole."""
    changed: dict[str, Any] = {"folder": str(folder / Path(settings.folder).expanduser())}
    if settings.tokenizer and _is_there(folder / settings.tokenizer):
        changed["tokenizer"] = str(folder / settings.tokenizer)
    if isinstance(settings.dataset, DatasetSettings) and settings.dataset.source.startswith(FILE):
        source = f"{FILE}{folder / Path(settings.dataset.source.removeprefix(FILE)).expanduser()}"
        changed["dataset"] = attrs.evolve(settings.dataset, source=source)
    if "dataset" in said and isinstance(settings.dataset, str) and _is_there(folder / settings.dataset):
        changed["dataset"] = str(folder / settings.dataset)
    if isinstance(settings.model, ModelSettings) and _is_there(folder / settings.model.weights):
        weights = str(folder / settings.model.weights) if settings.model.weights else ""
        changed["model"] = attrs.evolve(settings.model, weights=weights)
    return attrs.evolve(settings, **changed)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # Longer than a path can be.


def _differing(values: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    held: dict[str, Any] = {}
    for name, value in values.items():
        usual = defaults.get(name)
        if isinstance(value, Mapping) and isinstance(usual, Mapping):
            if inner := _differing(value, usual):
                held[name] = inner
        elif value != usual:
            held[name] = list(value) if isinstance(value, tuple) else value
    return held
