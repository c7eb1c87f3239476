"""Token rows of one split as three flat arrays: ids, labels, and where each row begins."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from azft.engine.tokens import Encoded

IDS, LABELS, STARTS = "ids.bin", "labels.bin", "starts.npy"
TOKEN = np.dtype("<i4")


@frozen(eq=False)
class Rows:
    """`ids` and `labels` have one entry a token, int32; row i spans starts[i] to starts[i + 1]."""

    ids: NDArray[np.int32]
    labels: NDArray[np.int32]
    starts: NDArray[np.int64]

    @classmethod
    def of(cls, encoded: Sequence[Encoded]) -> Rows:
        """Lay the rows end to end."""
        lengths = [len(row.ids) for row in encoded]
        return cls(
            np.concatenate([np.empty(0, np.int32), *(row.ids for row in encoded)]),
            np.concatenate([np.empty(0, np.int32), *(row.labels for row in encoded)]),
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
        )

    @classmethod
    def cut(cls, rows: Sequence[dict[str, list[int]]], length: int) -> Rows:
        """Lay rows end to end that are lists, each cut to so many tokens."""
        return cls.of(
            [
                Encoded(
                    np.asarray(row["input_ids"][:length], np.int32),
                    np.asarray(row["labels"][:length], np.int32),
                    truncated=len(row["input_ids"]) > length,
                )
                for row in rows
            ]
        )

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, index: int) -> dict[str, list[int]]:
        begin, end = self.starts[index], self.starts[index + 1]
        return {"input_ids": self.ids[begin:end].tolist(), "labels": self.labels[begin:end].tolist()}

    @property
    def lengths(self) -> list[int]:
        """Tokens of each row."""
        lengths: list[int] = np.diff(self.starts).tolist()
        return lengths


class RowWriter:
    """Writes rows to a folder as they come, so that memory does not grow with them; `read_rows` maps what it wrote.

    `ids.bin` and `labels.bin` hold little-endian int32, one a token, and `starts.npy` where each row begins.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._starts = array("q", [0])
        self._files = {name: (folder / name).open("wb") for name in (IDS, LABELS)}

    def add(self, row: Encoded) -> None:
        """Append a row."""
        for name, values in ((IDS, row.ids), (LABELS, row.labels)):
            self._files[name].write(values.astype(TOKEN, copy=False).data)
        self._starts.append(self._starts[-1] + len(row.ids))

    def __len__(self) -> int:
        return len(self._starts) - 1

    @property
    def tokens(self) -> int:
        """How many there are in all rows."""
        return self._starts[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for file in self._files.values():
            file.close()
        np.save(self._folder / STARTS, np.frombuffer(self._starts, np.int64))


def read_rows(folder: Path) -> Rows:
    """Return what a `RowWriter` wrote; tokens are read from the disk when they are asked for."""
    starts: NDArray[np.int64] = np.load(folder / STARTS)
    if not starts[-1]:
        return Rows.of([])
    ids, labels = (np.memmap(folder / name, TOKEN, "r", shape=(int(starts[-1]),)) for name in (IDS, LABELS))
    return Rows(ids, labels, starts)
