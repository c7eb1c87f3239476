"""The rows of one split that went through the gate: their lines in one file, and a record of each in another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import orjson
from attrs import frozen
from numpy.typing import NDArray

RECORD = np.dtype(
    [
        ("high", "<u8"),
        ("low", "<u8"),
        ("offset", "<u8"),
        ("line", "<u8"),
        ("file", "<u4"),
        ("size", "<u4"),
        ("messages", "<u4"),
        ("ending", "<u4"),
    ]
)
"""The prompt's fingerprint in two halves, where the line lies and where the row came from, its bytes and messages.

`ending` tells conversations apart that end with other words.
"""
AT_ONCE = 1 << 14
Records = NDArray[Any]


@frozen(eq=False)
class Spool:
    """`rows` lines in `lines`, as many records in `index`; `files` are the names that a record's `file` counts."""

    split: str
    lines: Path
    index: Path
    rows: int
    files: Sequence[str]
    unit: str
    sha256: str = ""

    def records(self, at_once: int = AT_ONCE) -> Iterator[tuple[int, Records]]:
        """Yield (number of the first row, records) in pieces of constant size."""
        first = 0
        with self.index.open("rb") as file:
            while block := file.read(at_once * RECORD.itemsize):
                found = np.frombuffer(block, RECORD)
                yield first, found
                first += len(found)

    def values(self, lines: BinaryIO, records: Records, rows: Iterable[int]) -> Iterator[Any]:
        """Yield rows by their places in the records; `lines` is the open file of the lines."""
        for row in rows:
            lines.seek(int(records["offset"][row]))
            yield orjson.loads(lines.read(int(records["size"][row])))

    def place(self, row: int) -> tuple[str, int]:
        """Return the file and the line of a row by its number in the spool."""
        record = self._index[row]
        return self.files[int(record["file"])], int(record["line"])

    def line(self, row: int) -> bytes:
        """Return the line of a row by its number in the spool."""
        record = self._index[row]
        begin = int(record["offset"])
        return bytes(self._lines[begin : begin + int(record["size"])])

    @cached_property
    def _index(self) -> Records:
        """The records, mapped: pages come and go as they are looked at."""
        return np.memmap(self.index, RECORD, "r")

    @cached_property
    def _lines(self) -> NDArray[np.uint8]:
        return np.memmap(self.lines, np.uint8, "r")
