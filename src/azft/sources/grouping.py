"""Rows that come one by one, put together into chunks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from azft.domain.rows import Chunk

TOGETHER = 128
"""Rows of a chunk: enough to make its costs small, few enough to hold."""


def together(file: str, rows: Iterable[tuple[int, Any]], unit: str = "line") -> Iterator[Chunk]:
    """Yield the (number, value) pairs of one file as chunks."""
    source = iter(rows)
    while chunk := list(islice(source, TOGETHER)):
        yield Chunk.of(file, [number for number, _value in chunk], [value for _number, value in chunk], unit)
