"""Find a base model: the user's weights, or a stand-in of the Phi-3 architecture for a registry name."""

from __future__ import annotations

import json
from pathlib import Path

from azft.domain.architecture import Architecture
from azft.domain.card import ModelCard
from azft.domain.model import Model
from azft.domain.parameters import ParameterValue
from azft.domain.specs import ModelSpec
from azft.engine.gguf import check_gguf, is_gguf
from azft.engine.loading import template_text
from azft.errors import NotFoundError
from azft.rules.shapes import shape_of
from azft.snapshot import architecture_of, registry_model, with_snapshot

STAND_IN_DEFAULTS: dict[str, ParameterValue] = {
    "apply_lora": True,
    "lora_r": 16,
    "lora_alpha": 32,
    "learning_rate": 5e-3,
    "num_train_epochs": 8,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 32,
    "precision": "32",
}
"""What a randomly initialised network of one million weights needs to learn; a pre-trained model needs far less."""

_TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")


def find_local_model(spec: ModelSpec) -> Model:
    """Return the model; given weights in a folder are checked for all that tuning needs."""
    entry = registry_model(spec.name)
    card = with_snapshot(ModelCard(), spec.name)
    registry = dict(card.defaults.value or {})
    version = spec.version or (entry.version if entry else "")
    identity = f"azureml://registries/{spec.registry}/models/{spec.name}/versions/{version}" if version else spec.name
    if spec.weights:
        weights = _checked(spec)
        return Model(
            spec.name,
            version,
            identity,
            {**registry, **spec.defaults},
            weights=weights,
            trust_remote_code=spec.trust_remote_code,
            card=card,
            architecture=_shape(Path(weights)) or architecture_of(spec.name),
            chat_template=template_text(spec.chat_template) if spec.chat_template else "",
        )
    architecture = {name: value for name, value in registry.items() if name not in STAND_IN_DEFAULTS}
    bounds = ("learning_rate_min", "learning_rate_max")
    defaults = {name: value for name, value in architecture.items() if name not in bounds}
    return Model(
        spec.name, version, identity, {**defaults, **STAND_IN_DEFAULTS, **spec.defaults}, stand_in=True, card=card
    )


def _checked(spec: ModelSpec) -> str:
    folder = Path(spec.weights).expanduser()
    if is_gguf(folder):
        if not folder.is_file():
            raise NotFoundError(f"model {spec.name!r}: no file {spec.weights}", hint="give a GGUF file, or a folder")
        check_gguf(folder)
        return str(folder.absolute())
    if not folder.exists():
        looks_like_hub = spec.weights.count("/") == 1 and not spec.weights.startswith((".", "/", "~"))
        if looks_like_hub:
            return spec.weights
        raise NotFoundError(f"model {spec.name!r}: no folder {spec.weights}", hint="give a model folder or a hub id")
    if not (folder / "config.json").is_file():
        raise NotFoundError(f"model {spec.name!r}: {folder} has no config.json", hint="save it with save_pretrained()")
    if not any((folder / name).is_file() for name in _TOKENIZER_FILES):
        raise NotFoundError(
            f"model {spec.name!r}: {folder} has no tokenizer; expected one of {', '.join(_TOKENIZER_FILES)}",
            hint="save it there with tokenizer.save_pretrained()",
        )
    if not spec.chat_template and not _has_template(folder):
        raise NotFoundError(
            f"model {spec.name!r}: the tokenizer in {folder} has no chat template",
            hint="give one: ModelSpec(..., chat_template=FILE or TEXT); a base model without one is not a chat model",
        )
    return str(folder.absolute())


def _shape(folder: Path) -> Architecture | None:
    """Return the shape that a folder's configuration tells; None for a hub's id or a file."""
    path = folder / "config.json"
    if not path.is_file():
        return None
    try:
        return shape_of(json.loads(path.read_text(encoding="utf-8")))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotFoundError(f"{path} is not JSON: {error}", hint="save the model again") from error


def _has_template(folder: Path) -> bool:
    if (folder / "chat_template.jinja").is_file() or (folder / "chat_template.json").is_file():
        return True
    settings = folder / "tokenizer_config.json"
    try:
        return settings.is_file() and bool(json.loads(settings.read_text(encoding="utf-8")).get("chat_template"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotFoundError(f"{settings} is not JSON: {error}", hint="save the tokenizer again") from error
