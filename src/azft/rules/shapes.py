"""The shape of a model from its published configuration (`config.json`, as transformers names its keys)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.architecture import Architecture

_KEYS: Mapping[str, tuple[str, ...]] = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "layers": ("num_hidden_layers", "n_layer", "n_layers"),
    "heads": ("num_attention_heads", "n_head", "n_heads"),
    "kv_heads": ("num_key_value_heads",),
    "intermediate": ("moe_intermediate_size", "intermediate_size", "n_inner"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions"),
    "head": ("head_dim",),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
}
"""Names of the same number in the families' configurations, the more telling one first."""


def shape_of(config: Mapping[str, Any]) -> Architecture | None:
    """Return the shape that a configuration tells, None where it does not tell enough; text parts may be nested.

    >>> phi3 = {"hidden_size": 3072, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 8192}
    >>> shape = shape_of({**phi3, "vocab_size": 32064, "max_position_embeddings": 4096})
    >>> round(shape.parameters / 1e9, 2), shape_of({"hidden_size": 3072})
    (3.82, None)
    """
    nested = config.get("text_config")
    told = {**config, **(nested if isinstance(nested, Mapping) else {})}
    found = {name: _number(told, keys) for name, keys in _KEYS.items()}
    needed = ("hidden", "layers", "heads", "intermediate", "vocabulary", "context")
    numbers = {name: value for name, value in found.items() if value is not None}
    if any(name not in numbers for name in needed):
        return None
    return Architecture(
        **{name: numbers[name] for name in needed},
        kv_heads=numbers.get("kv_heads", numbers["heads"]),
        experts=numbers.get("experts", 1),
        head=numbers.get("head", 0),
        tied=bool(told.get("tie_word_embeddings", False)),
        kind=str(told.get("model_type") or ""),
    )


def _number(told: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    values = (told.get(key) for key in keys)
    return next((value for value in values if type(value) is int and value > 0), None)
