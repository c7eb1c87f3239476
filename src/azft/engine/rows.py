"""Token rows of one split as three flat arrays: ids, labels, and where each row begins."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from azft.engine.tokens import Encoded


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


def write_rows(path: Path, rows: Rows) -> None:
    """Write the three arrays as safetensors."""
    save_file({"ids": rows.ids, "labels": rows.labels, "starts": rows.starts}, path)


def read_rows(path: Path) -> Rows:
    """Read what `write_rows` wrote."""
    found: dict[str, Any] = load_file(path)
    return Rows(found["ids"], found["labels"], found["starts"])
