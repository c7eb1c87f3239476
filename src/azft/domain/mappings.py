"""Mapping fields of frozen values are copied on the way in, so that nobody can change them from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def copied(values: Mapping[K, V]) -> Mapping[K, V]:
    """Return a copy of the mapping."""
    return dict(values)
