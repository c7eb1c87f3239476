"""Read the lists and mappings that registries keep as text: JSON, or Python's way of writing it; never evaluated."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from typing import Any

from azft.domain.parameters import ParameterValue

LONGEST = 100_000
"""Characters; no tag of a registry comes near, and parsing more could take long."""


def read_list(text: str) -> tuple[str, ...]:
    """Return the entries of a list written as text, empty if it cannot be read.

    >>> read_list("['Standard_A', 'Standard_B']"), read_list("Standard_A, Standard_B")
    (('Standard_A', 'Standard_B'), ('Standard_A', 'Standard_B'))
    """
    if "[" not in text:
        return tuple(part.strip() for part in text.split(",") if part.strip())
    found = _literal(text)
    return tuple(entry for entry in found if isinstance(entry, str)) if isinstance(found, list | tuple) else ()


def read_mapping(text: str) -> Mapping[str, ParameterValue]:
    """Return the plain values of a mapping written as text, empty if it cannot be read.

    >>> read_mapping("{'apply_lora': 'true', 'precision': 16, 'x': [1]}")
    {'apply_lora': 'true', 'precision': 16}
    """
    found = _literal(text)
    if not isinstance(found, dict):
        return {}
    plain = (str, int, float, bool)
    return {key: value for key, value in found.items() if isinstance(key, str) and isinstance(value, plain)}


def _literal(text: str) -> Any:
    if len(text) > LONGEST:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
