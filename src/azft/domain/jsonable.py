"""Any frozen value to JSON and back."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, TypeVar

from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import make_converter
from cattrs.strategies import configure_union_passthrough

from azft.domain.evaluation import Scores
from azft.domain.parameters import Parameters, ParameterValue
from azft.domain.resource import Endpoint
from azft.domain.specs import DatasetSpec

T = TypeVar("T")

_CONVERTER = make_converter()
_CONVERTER.register_unstructure_hook(Path, str)
_CONVERTER.register_structure_hook(Path, lambda value, _kind: Path(value))
configure_union_passthrough(ParameterValue, _CONVERTER)
# Parameters is a mapping as well as an attrs class, and cattrs would take it for the former.
_CONVERTER.register_structure_hook(Parameters, make_dict_structure_fn(Parameters, _CONVERTER))
_CONVERTER.register_unstructure_hook(Parameters, make_dict_unstructure_fn(Parameters, _CONVERTER))
# Rows in memory stay there: a plan that was written down names them by their digest.
_CONVERTER.register_unstructure_hook(
    DatasetSpec, make_dict_unstructure_fn(DatasetSpec, _CONVERTER, rows=override(omit=True))
)
_CONVERTER.register_structure_hook(
    DatasetSpec, make_dict_structure_fn(DatasetSpec, _CONVERTER, rows=override(omit=True))
)
# A key opens the endpoint to whoever reads it, so it is never written down.
_CONVERTER.register_unstructure_hook(Endpoint, make_dict_unstructure_fn(Endpoint, _CONVERTER, key=override(omit=True)))
# JSON knows no NaN: the loss of a model that diverged is written as null, and is no number when it is read again.
_measured = override(struct_hook=lambda value, _kind: math.nan if value is None else float(value))
_CONVERTER.register_structure_hook(
    Scores,
    make_dict_structure_fn(Scores, _CONVERTER, loss=_measured, token_accuracy=_measured),
)


def to_json(value: object) -> bytes:
    """Return the value as one line of JSON."""
    return bytes(_CONVERTER.dumps(value))


def from_json(kind: type[T], text: bytes | str) -> T:
    """Return the value of type `kind` that `to_json` wrote."""
    return _CONVERTER.loads(text, kind)


def to_dict(value: object) -> dict[str, Any]:
    """Return an attrs value as nested dicts, lists and plain values."""
    plain: dict[str, Any] = _CONVERTER.unstructure(value)
    return plain
