"""Rows of JSONL files: one JSON value a line, read in blocks so that no line can fill the memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from azft.domain.rows import LONGEST, BadRow, Chunk, Wanted, only
from azft.files import BLOCK
from azft.sources.encoding import transcoded
from azft.sources.opening import BOM, opened
from azft.sources.parsing import parsed

TOO_LONG = "AZFT-R014"


def read(path: Path, codec: str, wanted: Wanted | None, _columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    """Yield the wanted lines, or all of them, in chunks; empty lines are no rows."""
    with opened(path) as raw:
        stream = transcoded(raw, codec, path)
        for first, lines in _blocks(stream):
            numbers: list[int] = []
            values: list[Any] = []
            full = ((number, line) for number, line in enumerate(lines, start=first) if line and not line.isspace())
            for number, line in only(full, wanted):
                numbers.append(number)
                values.append(_value(line, str(path), number))
            if numbers:
                yield Chunk.of(str(path), numbers, values)
            if wanted is not None and not wanted.left:
                return


def _value(line: bytes, file: str, number: int) -> Any:
    if len(line) > LONGEST:
        said = f"longer than {LONGEST >> 20} MiB"
        return BadRow(file, number, said, TOO_LONG, "split it, or leave it out", original=line[:200])
    return parsed(line, file, number)


def count(path: Path, codec: str) -> int:
    """Return the number of lines that are not empty."""
    with opened(path) as raw:
        blocks = _blocks(transcoded(raw, codec, path))
        return sum(sum(1 for line in lines if line and not line.isspace()) for _first, lines in blocks)


def _blocks(stream: BinaryIO) -> Iterator[tuple[int, list[bytes]]]:
    """Yield (number of the first line, whole lines) block by block; a line past the limit is cut, and so known."""
    number = 1
    rest = b""
    block = stream.read(BLOCK).removeprefix(BOM)
    while block:
        head, *lines = block.split(b"\n")
        rest = rest + head if len(rest) <= LONGEST else rest
        if lines:
            tail = lines.pop()
            yield number, [rest, *lines]
            number += 1 + len(lines)
            rest = tail
        block = stream.read(BLOCK)
    if rest:
        yield number, [rest]
