"""From a source's own columns to messages: which converter a row takes, and what that makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import field, frozen

from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.errors import ConfigurationError, DatasetError
from azft.rules.chat import fault_of, not_an_object
from azft.rules.learning import LEARN, SKIP, mark_of
from azft.rules.messages import TOOL_ROLES
from azft.rules.preferences import preference_fault
from azft.rules.suggest import did_you_mean

EXAMINED = 50
"""Rows that are looked at to find out what a source holds."""
FAILURES = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
"""What somebody else's function raises on a row it did not expect, and a serialiser on half a surrogate pair."""
FUNCTION = "function"
"""The name of a converter that is a function of the user's."""
_KEPT = ("role", "content")
_CALLING = ("tool_calls", "tool_call_id")


@frozen
class Converted:
    """What a row became: messages as far as there are any, the tools it offers, and what is wrong with it."""

    messages: Any = None
    tools: Any = None
    fault: Fault | None = None


@frozen
class RowConverter:
    """Converts the rows of one dataset: by the converter that was named, or by the one that knows a row's columns.

    `offers` are tried in order, the first one being that of the dataset's first rows; `saw` says what they were
    recognised by. `columns` renames the source's own. `named` says that the user chose, so that columns of preferences
    are his business.
    """

    offers: tuple[Converter, ...]
    saw: str
    columns: Mapping[str, str] = field(factory=dict)
    named: bool = False

    def __str__(self) -> str:
        return f"{self.first.name} ({self.saw})"

    @property
    def first(self) -> Converter:
        """The converter of the dataset's first rows."""
        return self.offers[0]

    @property
    def quick(self) -> Callable[[Mapping[str, Any]], Any] | None:
        """What makes messages of a row that needs no care, if rows can be taken so."""
        return None if self.columns else self.first.quick or self.first.convert

    def reads(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the columns that have to be read, of those that are there; none for all of them."""
        there = list(columns)
        possible = [self.first, *(offer for offer in self.offers[1:] if offer.may_read(there))]
        if self.columns or not all(offer.reads for offer in possible):
            return ()
        wanted = {name for offer in possible for name in offer.reads} | {"rejected", "label", "train", "weight"}
        return tuple(name for name in there if name in wanted)

    def convert(self, value: Any) -> Converted:
        """Return the messages of a row with their own marks, and the first thing that is wrong with them."""
        if not isinstance(value, dict):
            return Converted(fault=not_an_object(value))
        return self.judge(renamed(value, self.columns))

    def judge(self, row: Mapping[str, Any]) -> Converted:
        """Return the same for a row whose columns have the names that converters know."""
        chooses = self.named or "chosen" in self.columns
        fault = None if self.first.name == FUNCTION else preference_fault(row, chooses=chooses)
        return Converted(fault=fault) if fault else self._made(row)

    def _made(self, row: Mapping[str, Any]) -> Converted:
        converter = self.first
        if len(self.offers) > 1 and not converter.sees(row):
            converter = next((offer for offer in self.offers[1:] if offer.sees(row)), converter)
        try:
            made = converter.convert(row)
        except FAILURES as error:
            if isinstance(error, KeyError) and error.args == ("messages",):
                return Converted(fault=not_an_object(row))
            said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
            fix = "fix the row, or choose another converter"
            return Converted(fault=Fault("AZFT-R016", f"it cannot be converted: {said}", fix))
        if isinstance(made, Fault):
            return Converted(fault=made)
        tools = None
        if isinstance(made, dict) and "messages" in made:
            made, tools = made["messages"], made.get("tools")
        marked = _marked(made)
        if isinstance(marked, Fault):
            return Converted(made, tools, marked)
        return Converted(marked, tools, fault_of(marked))


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


def chosen(converter: Converter, columns: Mapping[str, str]) -> RowConverter:
    """Return the converter that the dataset names."""
    return RowConverter((converter,), "as the dataset says", dict(columns), named=True)


def of_function(function: Callable[[Mapping[str, Any]], Any], columns: Mapping[str, str]) -> RowConverter:
    """Return a user's own function as a converter."""
    if not callable(function):
        raise ConfigurationError(f"convert is {function!r}, expected a function of a row", hint="it returns messages")
    saw = f"{getattr(function, '__qualname__', function)!s} was given"
    return RowConverter((Converter(FUNCTION, function),), saw, dict(columns), named=True)


def renamed(row: Any, columns: Mapping[str, str]) -> Any:
    """Return the row with its columns under the names that converters know; what was renamed wins over a namesake."""
    if not columns:
        return row
    taken = {columns[name] for name in row if name in columns}
    return {columns.get(name, name): value for name, value in row.items() if name in columns or name not in taken}


def left_out(converter: RowConverter, rows: Iterable[Any], there: Iterable[str]) -> tuple[str, ...]:
    """Return the columns that no conversion of these rows looks at; none where that cannot be told.

    Columns of identifiers, and those that repeat what a message says, lose nothing and are not among them.
    """
    asked: set[str] = set()
    telling: set[str] = set()
    names = dict.fromkeys(converter.columns.get(name, name) for name in there)
    for row in rows:
        if not isinstance(row, dict):
            continue
        watched = _Watched(renamed(row, converter.columns))
        made = converter.judge(watched)
        names.update(dict.fromkeys(map(str, watched)))
        asked |= watched.asked
        telling |= {str(name) for name, value in watched.items() if not _says_nothing(str(name), value, made.messages)}
    telling |= {name for name in names if not name.lower().endswith("id")} if not telling else set()
    return tuple(name for name in names if name not in asked and name in telling) if asked else ()


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


def trimmed(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the messages with what is trained on alone, and the names of what else they hold."""
    kept, others = [], []
    for message in messages:
        names = (*_KEPT, *_CALLING, *(("name",) if message["role"] == "tool" else ()), *(("weight",)))
        made = {name: message[name] for name in names if message.get(name) is not None}
        made.setdefault("content", "")
        kept.append(made)
        others += [name for name, value in message.items() if value is not None and name not in made]
    return kept, others


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


def _marked(messages: Any) -> Any:
    """Return the messages with their marks as `weight` 0 where a turn is not to be learned, or a `Fault`."""
    if not isinstance(messages, list):
        return messages
    made: list[Any] = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict) or len(message) == len(_KEPT):
            made.append(message)
            continue
        masked, fault = mark_of(message, number)
        if fault is not None:
            return fault
        plain = {name: value for name, value in message.items() if name not in (*LEARN, *SKIP)}
        made.append({**plain, "weight": 0} if masked and message.get("role") == "assistant" else plain)
    return made


def _check_columns(columns: Mapping[str, str], names: Sequence[str], offers: Sequence[Converter], source: str) -> None:
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
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")  # noqa: PLR2004


def uses_tools(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether any message calls a tool or answers for one."""
    return any(message.get("tool_calls") or message.get("role") in TOOL_ROLES for message in messages)
