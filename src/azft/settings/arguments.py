"""What a session is given in code: each argument of the right kind, before it fails somewhere below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azft.domain.data import DataSettings
from azft.domain.expecting import expect
from azft.errors import ConfigurationError


def check_arguments(given: Mapping[str, Any]) -> None:
    """Refuse an argument of another kind by its name, with how it is written."""
    expect(given["compute"], str, "compute", "give the name of a cluster, or of a machine size")
    expect(given["folder"], (str, Path), "folder", "give a path, such as '.azft'")
    _names(given["parameters"], "parameters", "{'learning_rate': 2e-5}")
    _names(given["columns"], "columns", "{'Frage': 'prompt'}")
    _names(given["prices"], "prices", "{'Standard_NC24ads_A100_v4': 3.67}")
    for column, target in ({} if given["columns"] is None else given["columns"]).items():
        expect(target, str, f"columns[{column!r}]", "map a column to the name that a converter knows")
    for size, price in ({} if given["prices"] is None else given["prices"]).items():
        _amount(price, f"prices[{size!r}]")
    if given["budget"] is not None:
        _amount(given["budget"], "budget")
    if given["data"] is not None:
        expect(given["data"], DataSettings, "data", "write data=azft.DataSettings(percent=5), or percent=5 alone")


def _names(value: object, name: str, example: str) -> None:
    if value is None:
        return
    expect(value, Mapping, name, f"write {name}={example}")
    for key in value:  # type: ignore[attr-defined]
        expect(key, str, f"a key of {name}", f"write {name}={example}")


def _amount(value: object, name: str) -> None:
    fits = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < math.inf
    if not fits:
        raise ConfigurationError(f"{name} is {value!r}, expected a number above 0")
