"""Rows that come one by one, put together into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from azft.domain.rows import BadRow, Chunk
from azft.errors import DatasetError

TOGETHER = 128
"""Rows of a chunk: enough to make its costs small, few enough to hold."""


def together(file: str, rows: Iterable[tuple[int, Any]], unit: str = "line") -> Iterator[Chunk]:
    """Yield the (number, value) pairs of one file as chunks."""
    source = iter(rows)
    while chunk := list(islice(source, TOGETHER)):
        yield Chunk.of(file, [number for number, _value in chunk], [value for _number, value in chunk], unit)


def counted_whole(file: str, rows: Iterable[tuple[int, Any]]) -> int:
    """Return the number of rows; `DatasetError` where a part of the file cannot be told apart, so that nobody knows."""
    count = 0
    for _number, value in rows:
        count += 1
        if isinstance(value, BadRow) and value.unread:
            said = f"{file} has {value.unread} that cannot be read, so that a share of its rows cannot be told"
            raise DatasetError(said, [value], hint="fix the row that is named, or take percent=100")
    return count
