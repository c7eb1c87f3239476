"""The parts of any reader's source: its own, or one part around rows that come one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import Any

from azft.domain.rows import BadRow, Chunk, Part, SourceRow, Wanted, only
from azft.domain.specs import Reader
from azft.sources.grouping import TOGETHER


def parts_of(reader: Reader, rest: str, split: str) -> Sequence[Part]:
    """Return the parts of one split of a source."""
    if reader.parts is not None:
        return reader.parts(rest, split)
    rows = partial(reader.rows, rest, split)
    known = reader.count(rest, split) if reader.count else None
    name = f"{reader.scheme}://{rest}"

    def count() -> int:
        return sum(1 for _row in rows()) if known is None else known

    return [Part(name, partial(_read, name, rows), count, known)]


def _read(name: str, rows: Any, wanted: Wanted | None, _columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    """Put neighbours together; a row without a place of its own gets its number."""
    numbers: list[int] = []
    values: list[Any] = []
    file = name
    for row_file, number, value in only(_placed(name, rows()), wanted):
        if numbers and (row_file != file or len(numbers) == TOGETHER):
            yield Chunk.of(file, numbers, values)
            numbers, values = [], []
        file = row_file
        numbers.append(number)
        values.append(value)
    if numbers:
        yield Chunk.of(file, numbers, values)


def _placed(name: str, rows: Iterable[Any]) -> Iterator[tuple[str, int, Any]]:
    for number, row in enumerate(rows, start=1):
        if isinstance(row, SourceRow):
            yield row.file, row.line, row.value
        elif isinstance(row, BadRow):
            yield row.file, row.line, row
        else:
            yield name, number, row
