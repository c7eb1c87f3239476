"""The good rows of one chunk, in columns; and a whole chunk at once, where nothing is wrong with any of its rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import orjson
from attrs import field, frozen

from azft.domain.rows import LONGEST
from azft.gate.conversion import FAILURES
from azft.gate.spool import RECORD, Records
from azft.rules.chat import are_sound
from azft.rules.text import ending_print, prompt_print

_BY_NAME = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SORT_KEYS
Convert = Callable[[Mapping[str, Any]], Any]


@frozen
class Batch:
    """Lines, and for each its prompt's fingerprint, its number, its number of messages, and how it ends."""

    lines: list[bytes] = field(factory=list)
    prints: list[bytes] = field(factory=list)
    numbers: list[int] = field(factory=list)
    messages: list[int] = field(factory=list)
    endings: list[int] = field(factory=list)

    def add(self, line: bytes, messages: Sequence[Any], number: int) -> None:
        """Take one more row."""
        self.lines.append(line)
        self.prints.append(prompt_print(messages))
        self.numbers.append(number)
        self.messages.append(len(messages))
        self.endings.append(ending_print(messages))


class Recorder:
    """Makes records of rows, many at a time."""

    def __init__(self) -> None:
        self._prints: list[bytes] = []
        self._columns: tuple[list[int], ...] = ([], [], [], [], [])
        self._files: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._prints)

    def take(self, rows: Batch, file: str) -> None:
        """Remember the rows."""
        place = self._files.setdefault(file, len(self._files))
        new = (map(len, rows.lines), rows.numbers, rows.messages, rows.endings, repeat(place, len(rows.lines)))
        for column, values in zip(self._columns, new, strict=True):
            column.extend(values)
        self._prints += rows.prints

    def made(self) -> tuple[Records, tuple[str, ...]]:
        """Return the records of what is remembered, counted from its first line and its first file, and forget it."""
        sizes, numbers, messages, endings, files = (np.array(column, np.int64) for column in self._columns)
        found = np.zeros(len(sizes), RECORD)
        prints = np.frombuffer(b"".join(self._prints), "<u8").reshape(-1, 2)
        found["high"], found["low"] = prints[:, 0], prints[:, 1]
        found["offset"] = np.cumsum(sizes) - sizes
        found["size"], found["line"], found["file"] = sizes, numbers, files
        found["messages"], found["ending"] = messages, endings
        names = tuple(self._files)
        self._files.clear()
        self._prints.clear()
        for column in self._columns:
            column.clear()
        return found, names


def line_of(
    value: Any, messages: Sequence[Any], tools: Any = None, *, keep: bool, made: Mapping[str, Any] | None = None
) -> bytes:
    """Return the row as a line of JSON, with its tools, and with its other columns if they are kept.

    The keys of the messages are to be in the order of their names. `made` is the row of another task than chat.
    """
    row: Any = {"messages": messages} if tools is None else {"messages": messages, "tools": tools}
    row = row if made is None else dict(made)
    if keep:
        # Columns stay where they are, so that a line does not tell how its row was looked at.
        row = {**{name: cell for name, cell in value.items() if name != "tools"}, **row}
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)


def all_at_once(
    convert: Convert,
    values: Sequence[Any],
    numbers: Sequence[int],
    *,
    keep: bool,
    passes: Callable[[Sequence[Any]], bool],
) -> Batch | None:
    """Return the rows if every one of them is good as it is, or None if anything has to be looked at.

    The loops are the interpreter's own: a row takes a few microseconds, most of them spent on its bytes. `passes` tells
    whether the template takes conversations that are sound.
    """
    try:
        talks = list(map(convert, values))
        if not are_sound(talks) or not passes(talks):
            return None
        if keep:
            by_name = [[{"content": one["content"], "role": one["role"]} for one in talk] for talk in talks]
            lines = [line_of(value, talk, keep=keep) for value, talk in zip(values, by_name, strict=True)]
        else:
            lines = [orjson.dumps({"messages": talk}, option=_BY_NAME) for talk in talks]
    except FAILURES:
        return None
    if max(map(len, lines), default=0) > LONGEST:
        return None
    return Batch(
        lines, list(map(prompt_print, talks)), list(numbers), list(map(len, talks)), list(map(ending_print, talks))
    )
