"""Weights on this disk: whether they are whole, and how a run takes them without another copy."""

from __future__ import annotations

from pathlib import Path

import orjson
from safetensors import SafetensorError, safe_open

from azft.errors import ConfigurationError, NotFoundError
from azft.files import linked_or_copied

LINKED = "linked.json"
INDEX = "model.safetensors.index.json"
TOKENIZER = "tokenizer_config.json"
_BESIDE = ("*.json", "*.py")
"""What is read with weights: the configuration, the list of the files, and a model's own code."""


def is_whole(folder: Path) -> bool:
    """Return whether a folder has a configuration and every one of its safetensors files, each readable."""
    if not (folder / "config.json").is_file():
        return False
    files = _weights(folder)
    return bool(files) and all(_is_readable(file) for file in files)


def link_weights(folder: Path, target: Path) -> None:
    """Put a folder's weights and configuration into `target`, linked where the disk can; what is there already stays.

    Nothing here writes into a linked file; that nobody else did is looked at whenever they are loaded.
    """
    beside = [path for pattern in _BESIDE for path in folder.glob(pattern) if path.is_file()]
    linked = {}
    for path in (*_weights(folder), *beside):
        if (target / path.name).exists():
            continue
        linked_or_copied(path.resolve(), target / path.name)
        linked[path.name] = _identity(target / path.name)
    (target / LINKED).write_bytes(orjson.dumps({"from": str(folder), "files": linked}))


def model_below(folder: Path) -> Path:
    """Return the folder with a model's configuration and weights, wherever below the given one it is.

    Errors: `NotFoundError`.
    """
    for config in sorted(folder.rglob("config.json"), key=lambda path: len(path.parts)):
        if any(config.parent.glob("*.safetensors")) or any(config.parent.glob("*.bin")):
            return config.parent
    raise NotFoundError(f"no model below {folder.name}: neither config.json with *.safetensors nor with *.bin")


def plain_model(given: Path, target: Path) -> None:
    """Put a model and its tokenizer into one folder, linked where the disk can, wherever below the given one they are.

    A registry keeps them as MLflow does: the weights in `data/model` or `model`, the tokenizer beside them or in a
    folder of its own, `data/tokenizer` or `components/tokenizer` (azureml-assets, its three MLflow flavours).
    """
    weights = model_below(given)
    target.mkdir(parents=True, exist_ok=True)
    tokenizers = [path.parent for path in sorted(given.rglob(TOKENIZER)) if path.parent != weights]
    places = [weights] if (weights / TOKENIZER).is_file() else [weights, *tokenizers[:1]]
    for path in (path for place in places for path in sorted(place.iterdir()) if path.is_file()):
        if path.name != LINKED and not (target / path.name).exists():
            linked_or_copied(path.resolve(), target / path.name)


def check_unchanged(folder: Path) -> None:
    """Raise `ConfigurationError` where a file that was linked is not any more what it was."""
    if not (folder / LINKED).is_file():
        return
    told = orjson.loads((folder / LINKED).read_bytes())
    changed = [name for name, known in told["files"].items() if _identity(folder / name) != known]
    if changed:
        raise ConfigurationError(
            f"{', '.join(changed)} of {told['from']} was written anew after this run had begun",
            hint="submit the plan again, with weights that stay as they are while it runs",
        )


def _weights(folder: Path) -> list[Path]:
    """Return the files of the weights, as the index lists them, or the one that there is."""
    if not (folder / INDEX).is_file():
        return [folder / "model.safetensors"]
    listed = orjson.loads((folder / INDEX).read_bytes()).get("weight_map", {})
    return [folder / Path(name).name for name in sorted(set(listed.values()))]


def _identity(file: Path) -> list[int]:
    told = file.stat()
    return [told.st_size, told.st_mtime_ns]


def _is_readable(file: Path) -> bool:
    try:
        with safe_open(file, framework="numpy") as tensors:
            return bool(tensors.keys())
    except (OSError, SafetensorError):
        return False
