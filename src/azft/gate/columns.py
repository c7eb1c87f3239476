"""Which columns a source has, which converter knows them, and which of them nothing is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azft.domain.specs import Converter
from azft.errors import DatasetError
from azft.gate.conversion import Converts, RowConverter, renamed
from azft.rules.suggest import did_you_mean

SHOWN = 8
"""Columns that a message names."""


def recognised(
    converters: Iterable[Converter],
    rows: Sequence[Any],
    there: Iterable[str],
    columns: Mapping[str, str],
    *,
    source: str,
) -> RowConverter:
    """Return the converter of rows by their columns; `DatasetError` where no converter knows any of them.

    The first rows are looked at, and the first converter offered that knows one of them goes first; every row takes
    the converter that knows its own columns.
    """
    objects = [renamed(row, columns) for row in rows if isinstance(row, dict)]
    offers = list(converters)
    names = list(dict.fromkeys([*there, *(str(name) for row in rows if isinstance(row, dict) for name in row)]))
    _check_columns(columns, names, offers, source)
    seen = {offer.name: [saw for row in objects if (saw := offer.sees(row))] for offer in offers}
    first = next((offer for offer in offers if seen[offer.name]), None)
    if first is None:
        held = [columns.get(name, name) for name in names]
        first = next((offer for offer in offers if offer.needs and offer.may_read(held)), None)
        if first is None and names:
            raise DatasetError(f"{source}: no converter knows rows of {_shown(names)}", hint=_mapping(names, offers))
        first = first or offers[0]
    others = [offer for offer in offers if offer is not first]
    found = seen[first.name]
    saw = f"saw {found[0]} in {len(found)} of {len(objects)} rows" if found else "of its columns"
    mixed = [offer.name for offer in others if any(offer.sees(row) and not first.sees(row) for row in objects)]
    return RowConverter((first, *others), saw + (f"; {', '.join(mixed)} in others" if mixed else ""), dict(columns))


def left_out(converter: Converts, rows: Iterable[Any], there: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that no conversion of these rows looks at; none where that cannot be told.

    Columns of identifiers, and those that repeat what a message says, lose nothing and are not among them.
    """
    asked = False
    lost: dict[str, None] = {}
    names = {converter.columns.get(name, name) for name in there}
    for row in rows:
        if not isinstance(row, dict):
            continue
        watched = _Watched(renamed(row, converter.columns))
        made = converter.judge(watched)
        asked = asked or bool(watched.asked)
        names -= {str(name) for name in watched}
        lost.update(
            (str(name), None)
            for name, value in watched.items()
            if name not in watched.asked and not _says_nothing(str(name), value, made.messages)
        )
    # Columns that none of these rows has.
    lost.update((name, None) for name in sorted(names) if not name.lower().endswith("id"))
    return tuple(lost) if asked else ()


def _says_nothing(name: str, value: Any, messages: Any) -> bool:
    """Return whether a cell is blank, an identifier, or what one of the messages says."""
    if value is None or value in ("", []):
        return True
    if name.lower().endswith("id") and isinstance(value, int | str) and len(str(value).split()) == 1:
        return True
    said = (
        [message.get("content") for message in messages if isinstance(message, dict)]
        if isinstance(messages, list)
        else []
    )
    return value in said


class _Watched(dict[str, Any]):
    """A row that remembers which of its columns somebody asked for."""

    def __init__(self, row: Mapping[str, Any]) -> None:
        super().__init__(row)
        self.asked: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.asked.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.asked.add(name)
        return super().get(name, default)


def _check_columns(columns: Mapping[str, str], names: Sequence[str], offers: Sequence[Converter], source: str) -> None:
    double = [target for target in columns.values() if list(columns.values()).count(target) > 1]
    if double:
        said = f"{source}: columns= maps more than one column to {double[0]!r}"
        raise DatasetError(said, hint="one column for each; convert=FUNCTION joins several")
    for name, target in columns.items():
        if names and name not in names:
            known = did_you_mean(name, names)
            said = f"{source}: columns= names {name!r}, which the data has not; it has {_shown(names)}"
            raise DatasetError(said, hint=known)
        known_to = {column for offer in offers for column in offer.reads}
        if known_to and target not in known_to and all(offer.reads or not offer.detects for offer in offers):
            said = f"{source}: columns= maps {name!r} to {target!r}, which no converter reads"
            raise DatasetError(said, hint=did_you_mean(target, known_to))


def _mapping(names: Sequence[str], offers: Iterable[Converter]) -> str:
    if set(names) >= {"chosen", "rejected"}:
        return 'preference data: columns={"chosen": "messages"} learns the better answer'
    known = ", ".join(offer.name for offer in offers)
    if len(names) == 1:
        return f"name what holds the turns: columns={{{names[0]!r}: 'messages'}}, or give convert=FUNCTION ({known})"
    mapping = f"columns={{{names[0]!r}: 'prompt', {names[1]!r}: 'completion'}}"
    return f"name the columns, such as {mapping}, or one of the converters {known}, or a function (convert=...)"


def _shown(names: Sequence[str]) -> str:
    return ", ".join(map(repr, names[:SHOWN])) + (", ..." if len(names) > SHOWN else "")
