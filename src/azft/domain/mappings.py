"""Mapping fields of frozen values are copied on the way in, so that nobody can change them from outside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def copied(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a copy of the mapping."""
    return dict(values)
