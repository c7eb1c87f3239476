"""From a source's own columns to messages: which converter a row takes, and what that makes of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import field, frozen

from azft.domain.row_formats import CHAT_FORMAT, RowFormat
from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.errors import ConfigurationError
from azft.escapes import visible
from azft.rules.chat import fault_of, not_an_object
from azft.rules.learning import MASK, is_mark, mark_of
from azft.rules.messages import TOOL_ROLES
from azft.rules.preferences import MARKED, preference_fault
from azft.rules.repair import ALIASES

EXAMINED = 50
"""Rows that are looked at to find out what a source holds."""
FAILURES = (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What somebody else's function raises on a row it did not expect, and a serialiser on half a surrogate pair."""
FUNCTION = "function"
"""The name of a converter that is a function of the user's."""
_KEPT = ("role", "content")
_CALLING = ("tool_calls", "tool_call_id")


@frozen
class Converted:
    """What a row became: messages as far as there are any, the tools it offers, and what is wrong with it.

    A `row` is one of a task that is not chat; its messages are then what it is compared by.
    """

    messages: Any = None
    tools: Any = None
    fault: Fault | None = None
    row: Mapping[str, Any] | None = None


class Converts(Protocol):
    """Makes of a source's rows what is trained on: conversations, or the rows of another task."""

    @property
    def rows(self) -> RowFormat:
        """The format of what is made."""
        ...

    @property
    def columns(self) -> Mapping[str, str]:
        """The names of the source's own columns, each with the one that is known here."""
        ...

    @property
    def quick(self) -> Callable[[Mapping[str, Any]], Any] | None:
        """What makes messages of a row that needs no care, if rows can be taken so."""
        ...

    def reads(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the columns that have to be read, of those that are there; none for all of them."""
        ...

    def suits(self, columns: Iterable[str]) -> bool:
        """Return whether rows with these columns are for it, whatever they hold."""
        ...

    def convert(self, value: Any) -> Converted:
        """Return what a row becomes."""
        ...

    def judge(self, row: Mapping[str, Any]) -> Converted:
        """Return the same for a row whose columns have the names that are known here."""
        ...


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
    def rows(self) -> RowFormat:
        """Conversations."""
        return CHAT_FORMAT

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
        wanted = {name for offer in possible for name in offer.reads} | MARKED
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

    def _for(self, row: Mapping[str, Any]) -> Converter:
        """Return the converter that sees the row and reads the most of it, the first one among equals."""
        able = [offer for offer in self.offers if offer.sees(row)] if len(self.offers) > 1 else []
        there = [name for name, value in row.items() if value is not None]
        return max(able, key=lambda offer: sum(name in offer.reads for name in there), default=self.first)

    def suits(self, columns: Iterable[str]) -> bool:
        """Return whether the first converter is the one for rows with these columns, whatever they hold."""
        others = (offer for offer in self.offers[1:] if offer.may_read(columns))
        return not any(
            set(needed) <= set(columns) and not set(needed) <= set(self.first.reads)
            for offer in others
            for needed in offer.needs
        )

    def _made(self, row: Mapping[str, Any]) -> Converted:
        converter = self._for(row)
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


def trimmed(messages: Sequence[Mapping[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the messages with what is trained on alone, and the names of what else they hold.

    A table has its keys in one order, and each line of a text in its own; here they are always in that of their names.
    """
    kept, others = [], []
    for message in messages:
        names = sorted((*_KEPT, *_CALLING, *(("name",) if message["role"] == "tool" else ()), MASK))
        made = {"content": "", **{name: message[name] for name in names if message.get(name) is not None}}
        kept.append(made)
        others += [visible(str(name)) for name, value in message.items() if value is not None and name not in made]
    return kept, others


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
        plain = {name: value for name, value in message.items() if not is_mark(str(name))}
        role = message.get("role")
        answers = isinstance(role, str) and ALIASES.get(role.strip().lower(), role.strip().lower()) == "assistant"
        made.append({**plain, MASK: 0} if masked and answers else plain)
    return made


def uses_tools(messages: Iterable[Mapping[str, Any]]) -> bool:
    """Return whether any message calls a tool or answers for one."""
    return any(message.get("tool_calls") or message.get("role") in TOOL_ROLES for message in messages)
