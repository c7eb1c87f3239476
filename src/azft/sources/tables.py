"""Rows of CSV and TSV files, each with the line it begins on."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Any

from azft.domain.rows import LONGEST, BadRow, Chunk, Part, Wanted, only
from azft.errors import DatasetError
from azft.escapes import visible
from azft.rules.text import was_not_utf8
from azft.sources.encoding import encoding_of, transcoded
from azft.sources.grouping import counted_whole, together
from azft.sources.opening import content_of, opened
from azft.sources.parsing import NOT_JSON

DELIMITERS = (",", ";", "\t", "|")
SAMPLE = 1 << 16
"""Bytes that are looked at to tell what stands between the cells."""
LOOKED_AT = 20
"""Rows of them that are counted."""
_DECLARED = re.compile(r"sep=(.)\r?\n")
"""What Excel may write before the header."""


def table_part(path: Path) -> Part:
    """Return the file as one part."""
    codec, note = encoding_of(path, guess=True)
    with _text(path, codec) as text:
        delimiter, said = _delimiter(text.read(SAMPLE), "\t" if ".tsv" in path.name.lower() else ",")
    return Part(
        str(path),
        partial(_read, path, codec, delimiter),
        partial(_count, path, codec, delimiter),
        content=partial(content_of, path),
        columns=tuple(_header(path, codec, delimiter)),
        notes=tuple(filter(None, (note, said))),
        size=path.stat().st_size,
    )


def _count(path: Path, codec: str, delimiter: str) -> int:
    return counted_whole(str(path), _records(path, codec, delimiter))


def _read(
    path: Path, codec: str, delimiter: str, wanted: Wanted | None, _columns: tuple[str, ...] = ()
) -> Iterator[Chunk]:
    yield from together(str(path), only(_records(path, codec, delimiter), wanted))


@contextmanager
def _text(path: Path, codec: str) -> Iterator[io.TextIOWrapper]:
    """Give the file's text; bytes that are no UTF-8 come as surrogates, so that rows around them can be read."""
    with opened(path) as stream:
        yield io.TextIOWrapper(transcoded(stream, codec, path), "utf-8-sig", "surrogateescape", newline="")


def _delimiter(head: str, usual: str) -> tuple[str, str]:
    """Return what stands between the cells, and what is to be said of it.

    It is what gives the most rows of the header's width, which is more than one; the usual one where nothing does.
    """
    declared = _DECLARED.match(head)
    if declared:
        return declared[1], f"{declared[1]!r} stands between its cells, as its first line says"
    counts = {delimiter: _widths(head, delimiter) for delimiter in dict.fromkeys((usual, *DELIMITERS))}
    fitting = {
        delimiter: (sum(width == widths[0] for width in widths), widths[0])
        for delimiter, widths in counts.items()
        if widths and widths[0] > 1
    }
    best = max(fitting, key=lambda delimiter: fitting[delimiter], default=usual)
    if best == usual or fitting[best] <= fitting.get(usual, (0, 0)):
        return usual, ""
    return best, f"{best!r} stands between its cells, in place of {usual!r}"


def _widths(head: str, delimiter: str) -> list[int]:
    reader = csv.reader(io.StringIO(head, newline=""), delimiter=delimiter)
    widths: list[int] = []
    try:
        widths.extend(len(cells) for cells in islice((cells for cells in reader if cells), LOOKED_AT))
    except csv.Error:
        return widths
    return widths


def _header(path: Path, codec: str, delimiter: str) -> list[str]:
    with _text(path, codec) as text:
        names = _named(text, delimiter)
    double = [name for number, name in enumerate(names) if name and name in names[:number]]
    if double:
        said = f"{path}: the column {visible(double[0])!r} stands twice in the header"
        raise DatasetError(said, hint="rename or remove one of them, as only one could be read")
    return names


def _named(text: io.TextIOWrapper, delimiter: str) -> list[str]:
    """Read up to the end of the header and return its names."""
    csv.field_size_limit(LONGEST)
    try:
        for cells in csv.reader(_undeclared(text), delimiter=delimiter):
            if cells:
                return [visible(name.strip()) for name in cells]
    except csv.Error:
        return []
    return []


def _undeclared(text: io.TextIOWrapper) -> Iterator[str]:
    """Yield the lines but for a declaration of the delimiter."""
    first = text.readline()
    if not _DECLARED.fullmatch(first):
        yield first
    yield from text


def _records(path: Path, codec: str, delimiter: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, row); cells are text, whatever they hold."""
    csv.field_size_limit(LONGEST)
    names = _header(path, codec, delimiter)
    with _text(path, codec) as text:
        first = text.readline()
        before = 1 if _DECLARED.fullmatch(first) else 0
        lines = text if before else chain([first], text)
        reader = csv.reader(lines, delimiter=delimiter, strict=True)
        headed = False
        line = 1 + before
        try:
            for cells in reader:
                if cells and headed:
                    yield line, _row(names, cells, str(path), line)
                headed = headed or bool(cells)
                line = reader.line_num + 1 + before
        except csv.Error as error:
            behind = reader.line_num + before - line + sum(1 for _line in text)
            said = f"not {(delimiter == ',' and 'CSV') or 'a table'}: {error}; the rows after it cannot be told apart"
            fix = "quote cells that hold quotes, delimiters or line ends"
            unread = f"{behind:,} lines" if behind > 0 else ""
            yield line, BadRow(str(path), line, said, NOT_JSON, fix, unread=unread)


def _row(names: list[str], cells: list[str], file: str, line: int) -> Any:
    if len(cells) != len(names):
        said = f"{len(cells)} cells, and the header names {len(names)} columns"
        fix = "quote cells that hold delimiters or line ends"
        return BadRow(file, line, said, NOT_JSON, fix, original={str(n): cell for n, cell in enumerate(cells)})
    if any(map(was_not_utf8, cells)):
        original = dict(zip(names, cells, strict=True))
        return BadRow(file, line, "not valid UTF-8", "AZFT-R002", "save the file as UTF-8", original=original)
    # Spreadsheets may write empty columns behind the last.
    return {name: cell for name, cell in zip(names, cells, strict=True) if name or cell}
