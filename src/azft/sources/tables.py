"""Rows of CSV and TSV files, each with the line it begins on."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import orjson

from azft.domain.rows import LONGEST, BadRow, Chunk, Part, Wanted, only
from azft.rules.text import was_not_utf8
from azft.sources.grouping import together
from azft.sources.opening import content_of, opened
from azft.sources.parsing import NOT_JSON


def table_part(path: Path) -> Part:
    """Return the file as one part."""
    return Part(str(path), partial(_read, path), partial(_count, path), content=partial(content_of, path))


def _count(path: Path) -> int:
    return sum(1 for _record in _records(path))


def _read(path: Path, wanted: Wanted | None, _columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    yield from together(str(path), only(_records(path), wanted))


def _records(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, row); a cell that holds a JSON list of objects is read as such."""
    csv.field_size_limit(LONGEST)
    delimiter = "\t" if ".tsv" in path.name.lower() else ","
    with opened(path) as stream:
        # Bytes that are no UTF-8 come through as surrogates, so that the rows around them can be read.
        text = io.TextIOWrapper(stream, "utf-8-sig", "surrogateescape", newline="")
        reader = csv.reader(text, delimiter=delimiter, strict=True)
        names: list[str] = []
        line = 1
        try:
            for cells in reader:
                if not names:
                    names = cells
                elif cells:
                    yield line, _row(names, cells, str(path), line)
                line = reader.line_num + 1
        except csv.Error as error:
            said = f"not {(delimiter == ',' and 'CSV') or 'TSV'}: {error}; the rows after it cannot be told apart"
            yield line, BadRow(str(path), line, said, NOT_JSON, "quote cells that hold quotes, commas or line ends")


def _row(names: list[str], cells: list[str], file: str, line: int) -> Any:
    if len(cells) != len(names):
        said = f"{len(cells)} cells, and the header names {len(names)} columns"
        return BadRow(
            file, line, said, NOT_JSON, "quote cells that hold commas or line ends", original=dict(enumerate(cells))
        )
    if any(map(was_not_utf8, cells)):
        return BadRow(file, line, "not valid UTF-8", "AZFT-R002", "save the file as UTF-8")
    return {name: _cell(cell) for name, cell in zip(names, cells, strict=True)}


def _cell(cell: str) -> Any:
    """Return a cell that holds a JSON list of objects as such a list, and any other as its text."""
    if cell.lstrip()[:1] != "[":
        return cell
    try:
        found = orjson.loads(cell)
    except orjson.JSONDecodeError:
        return cell
    return found if found and all(isinstance(item, dict) for item in found) else cell
