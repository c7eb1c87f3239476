"""Rows that hold a better and a worse answer, or say that their answer is bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.rows import Fault

MARKED = frozenset({"rejected", "chosen", "label", "train", "weight"})
"""Columns that may say that an answer is not to be learned."""
_NO = (0, "false", "0", "no")


def preference_fault(row: Mapping[str, Any], *, chooses: bool = False) -> Fault | None:
    """Return why a row's answer is not one to learn from, as its other columns say; None for all others.

    `chooses` says that the user named the answer to learn, so that a rejected one beside it is left out.

    >>> preference_fault({"prompt": "a", "completion": "b", "label": False}).reason
    "'label' is False: the answer is marked as a bad one"
    >>> preference_fault({"prompt": "a", "completion": "b", "label": "True"})
    """
    if not chooses and not _is_empty(row.get("rejected")):
        said = "it has a 'rejected' answer: preference data, of which supervised tuning can learn one answer alone"
        return Fault("AZFT-R017", said, 'columns={"chosen": "messages"} (or "completion") learns the better one')
    label = row.get("label")
    if _is(label, _NO):
        return Fault("AZFT-R017", f"'label' is {label!r}: the answer is marked as a bad one", "leave the row out")
    for name in ("train", "weight"):
        if _is(row.get(name), _NO):
            said = f"{name!r} is {row[name]!r}: the row is marked as not to be learned"
            return Fault("AZFT-R017", said, "leave the row out")
    return None


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _is(value: Any, words: tuple[Any, ...]) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in words
    return isinstance(value, bool | int | float) and value in words
