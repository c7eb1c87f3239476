"""Write the spool of one split: the lines of rows that went through to one file, their records to another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np

from azft.gate.batch import Batch, Recorder
from azft.gate.spool import Records, Spool
from azft.gate.writer import LineWriter

RECORDED = 2_000
"""Rows whose records are made at once."""


class SpoolWriter:
    """Takes rows in their order; used with `with`, and `spool()` is there after the block.

    `final` says that the lines are a file of the prepared data as they are, and need a digest.
    """

    def __init__(self, split: str, folder: Path, *, final: bool) -> None:
        self._split = split
        self._index = folder / f"{split}.index"
        self._out = LineWriter(folder / f"{split}.lines", final=final)
        self._recorder = Recorder()
        self._files: dict[str, int] = {}
        self._open = ExitStack()
        self._recorded = 0

    def __enter__(self) -> SpoolWriter:
        self._records = self._open.enter_context(self._index.open("wb"))
        self._open.enter_context(self._out)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._record(*self._recorder.made())
        self._open.__exit__(kind, error, trace)

    def take(self, rows: Batch, file: str) -> None:
        """Write rows of one file."""
        self._recorder.take(rows, file)
        self._out.write(rows.lines)
        if len(self._recorder) >= RECORDED:
            self._record(*self._recorder.made())

    def append(self, lines: memoryview, records: Records, files: Sequence[str]) -> None:
        """Write lines whose records were made elsewhere, counted from the first of them."""
        self._out.append(lines, len(records))
        self._record(records, files)

    def spool(self, unit: str) -> Spool:
        """Return what was written; `unit` is what the numbers of rows count."""
        return Spool(
            self._split, self._out.path, self._index, self._out.rows, tuple(self._files), unit, self._out.sha256
        )

    def _record(self, records: Records, files: Sequence[str]) -> None:
        """Write records, counted from the first line of the split and the first of its files."""
        if not len(records):
            return
        places = np.array([self._files.setdefault(name, len(self._files)) for name in files], np.uint32)
        counted = records.copy()
        counted["offset"] += np.uint64(self._recorded)
        counted["file"] = places[records["file"]]
        self._records.write(counted.tobytes())
        self._recorded += int(records["size"].sum(dtype=np.int64))
