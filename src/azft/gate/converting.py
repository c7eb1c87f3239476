"""From a source's own columns to messages: which converter it takes, and what that does with a row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from attrs import frozen

from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.errors import ConfigurationError
from azft.gate.taken import FAILURES, Convert
from azft.rules.chat import fault_of, not_an_object

EXAMINED = 50
"""Rows that are looked at to find out what a source holds."""


@frozen
class Choice:
    """A converter, and what made it the one."""

    converter: Converter
    saw: str

    def __str__(self) -> str:
        return f"{self.converter.name} ({self.saw})"


def detect(converters: Iterable[Converter], rows: Sequence[Any], columns: Mapping[str, str]) -> Choice:
    """Return the converter that recognises the most rows, the first offered among equals; "messages" if none does."""
    objects = [renamed(row, columns) for row in rows if isinstance(row, dict)]
    offers = list(converters)
    seen = {converter.name: [saw for row in objects if (saw := converter.detects(row))] for converter in offers}
    best = max(offers, key=lambda converter: len(seen[converter.name]))
    if not seen[best.name]:
        plain = next((converter for converter in offers if converter.name == "messages"), best)
        found = ", ".join(map(str, list(objects[0])[:6])) if objects else "nothing"
        return Choice(plain, f"no converter knows rows of {found}")
    others = [name for name, saw in seen.items() if saw and name != best.name]
    saw = f"saw {seen[best.name][0]} in {len(seen[best.name])} of {len(objects)} rows"
    return Choice(best, saw + (f"; {', '.join(others)} would fit some too" if others else ""))


def of_function(function: Callable[[Mapping[str, Any]], Any]) -> Choice:
    """Return a user's own function as a converter."""
    if not callable(function):
        raise ConfigurationError(f"convert is {function!r}, expected a function of a row", hint="it returns messages")
    return Choice(Converter("function", function), f"{getattr(function, '__qualname__', function)!s} was given")


def renamed(row: Any, columns: Mapping[str, str]) -> Any:
    """Return the row with its columns under the names that converters know."""
    return {columns.get(name, name): value for name, value in row.items()} if columns else row


def judged(convert: Convert, value: Any, columns: Mapping[str, str]) -> tuple[Any, Fault | None]:
    """Return the messages of a row, as far as there are any, and what is wrong with them."""
    row = renamed(value, columns) if isinstance(value, dict) else value
    if not isinstance(row, dict):
        return None, not_an_object(row)
    try:
        made = convert(row)
    except FAILURES as error:
        if isinstance(error, KeyError) and error.args == ("messages",):
            return None, not_an_object(row)
        said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        return None, Fault("AZFT-R016", f"it cannot be converted: {said}", "mend the row, or choose another converter")
    if isinstance(made, Fault):
        return None, made
    messages = made["messages"] if isinstance(made, dict) and "messages" in made else made
    return messages, fault_of(messages)
