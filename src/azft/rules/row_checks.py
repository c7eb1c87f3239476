"""What is wrong with a row of a task that is not chat, and how such a row is compared with others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from azft.domain.row_formats import Column, RowFormat
from azft.domain.rows import Fault
from azft.escapes import visible
from azft.rules.suggest import did_you_mean
from azft.rules.text import has_surrogate, is_blank, was_not_utf8

_SHOWN = 60
_WORDS = {
    "text": "a text",
    "label": "a text or a whole number",
    "texts": "a list of texts",
    "record": "an object",
}


def fault_of_row(rows: RowFormat, row: Mapping[str, Any]) -> Fault | None:
    """Return the first thing that is wrong with a row, or None.

    >>> form = RowFormat("mood", (Column("text"), Column("label", "label")))
    >>> fault_of_row(form, {"text": "fine", "label": 1})
    >>> fault_of_row(form, {"text": " ", "label": 1}).code, fault_of_row(form, {"text": "a", "label": 1.5}).reason
    ('AZFT-R020', "'label' is 1.5, expected a text or a whole number")
    """
    for column in rows.columns:
        found = _fault_of_cell(column, row)
        if found is not None:
            return found
    if rows.check is None:
        return None
    said = rows.check(row)
    return Fault("AZFT-R022", said, "fix the row, or leave it out") if said else None


def kept(rows: RowFormat, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of a row is trained on: the columns of the format, in its order; null in those that are empty.

    The pipelines' reader wants every key of the first row in all of them (datasets 4.7.0, which they pin).
    """
    there = {column.name: row.get(column.name) for column in rows.columns}
    return {name: None if _is_empty(value) else value for name, value in there.items()}


def as_talk(rows: RowFormat, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return a row as a question and its answer, so that rows are compared as conversations are.

    >>> form = RowFormat("mood", (Column("text"), Column("label", "label")), asks=("text",))
    >>> [turn["content"] for turn in as_talk(form, {"text": "Fine", "label": 1})]
    ['Fine', '1']
    """
    asks = rows.asks or tuple(column.name for column in rows.columns[:1])
    answers = tuple(column.name for column in rows.columns if column.name not in asks)
    return [
        {"role": "user", "content": "\0".join(_said(row.get(name)) for name in asks)},
        {"role": "assistant", "content": "\0".join(_said(row.get(name)) for name in answers)},
    ]


def _fault_of_cell(column: Column, row: Mapping[str, Any]) -> Fault | None:
    name, value = column.name, row.get(column.name)
    if _is_empty(value):
        return None if column.optional else _missing(name, row)
    wrong = _wrong(column, value)
    if wrong:
        return Fault("AZFT-R021", f"{name!r} {wrong}", "fix the row, or leave it out")
    return next((fault for text in _texts(value) if (fault := _fault_of_text(name, text)) is not None), None)


def _missing(name: str, row: Mapping[str, Any]) -> Fault:
    if name in row:
        return Fault("AZFT-R020", f"{name!r} is empty", "fill it, or leave the row out")
    there = list(map(str, row))
    said = f"there is no {name!r}; it has {', '.join(map(visible, there)) or 'nothing'}"
    meant = did_you_mean(name, there)
    fix = f'columns={{"YOURS": {name!r}}} maps a column of another name'
    return Fault("AZFT-R020", said, f"{meant}; {fix}" if meant else fix)


def _fault_of_text(name: str, text: str) -> Fault | None:
    if "\0" in text:
        return Fault("AZFT-R004", f"a NUL character in {name!r}", "remove it")
    if not has_surrogate(text):
        return None
    if was_not_utf8(text):
        return Fault("AZFT-R002", f"{name!r} is not valid UTF-8", "save the file as UTF-8")
    return Fault("AZFT-R003", f"half of a surrogate pair in {name!r}", "remove it")


def _wrong(column: Column, value: Any) -> str:
    """Return what is wrong with a cell that is not empty."""
    expected = f"is {_shown(value)}, expected {_WORDS[column.holds]}"
    if column.holds == "text":
        return "" if isinstance(value, str) else expected
    if column.holds == "label":
        return "" if isinstance(value, str | int) and not isinstance(value, bool) else expected
    if column.holds == "texts":
        return "" if isinstance(value, list) and all(isinstance(one, str) for one in value) else expected
    return _wrong_record(column, value) if isinstance(value, Mapping) else expected


def _wrong_record(column: Column, value: Mapping[str, Any]) -> str:
    wanted = ", ".join(column.parts)
    if set(value) != set(column.parts):
        return f"has {', '.join(map(visible, map(str, value))) or 'nothing'}, expected {wanted} and nothing else"
    lists = [value[part] for part in column.parts]
    if not all(isinstance(one, list) for one in lists) or len(set(map(len, lists))) > 1:
        return f"is {_shown(value)}, expected lists of one length in {wanted}"
    return ""


def _is_empty(value: Any) -> bool:
    return value is None or value in ([], {}) or (isinstance(value, str) and is_blank(value))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    return [text for one in inner for text in _texts(one)]


def _said(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else orjson.dumps(value).decode()


def _shown(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= _SHOWN else f"{said[:_SHOWN]}..."
