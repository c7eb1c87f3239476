"""Rows that hold a better and a worse answer, or say that their answer is bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.rows import Fault
from azft.rules.learning import LEARN, SKIP

LABELS = ("label", "kto_tag")
"""Columns that tell a good answer from a bad one, as KTO's data does."""
MARKED = frozenset({"rejected", "chosen", *LABELS, *LEARN, *SKIP})
"""Columns that may say that an answer is not to be learned."""
_NO = ("false", "no", "bad")


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
    for name in LABELS:
        if _is_no(row.get(name)):
            return Fault(
                "AZFT-R017", f"{name!r} is {row[name]!r}: the answer is marked as a bad one", "leave the row out"
            )
    for names, learned in ((LEARN, True), (SKIP, False)):
        for name in names:
            value = row.get(name)
            if value is not None and (_is_no(value) if learned else value is True):
                said = f"{name!r} is {value!r}: the row is marked as not to be learned"
                return Fault("AZFT-R017", said, "leave the row out")
    return None


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], "[]", "null")


def _is_no(value: Any) -> bool:
    if not isinstance(value, str):
        return isinstance(value, bool | int | float) and value == 0
    text = value.strip().lower()
    try:
        return float(text) == 0
    except ValueError:
        return text in _NO
