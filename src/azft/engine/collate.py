"""Token rows to tensors."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from attrs import frozen

from azft.engine.rows import Rows
from azft.engine.tokens import IGNORE
from azft.rules.packing import pack

Row = dict[str, list[int]]


@frozen
class Padded:
    """Pads a batch on the right to its longest row, or to `length`; one row alone needs no mask at all."""

    pad: int
    length: int = 0

    def __call__(self, batch: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Return ids, labels and, where anything is padded, the attention mask; each (rows, tokens)."""
        longest = max(self.length, *(len(row["input_ids"]) for row in batch), 0)
        if len(batch) == 1 and longest == len(batch[0]["input_ids"]):
            return {name: torch.tensor([batch[0][name]]) for name in ("input_ids", "labels")}

        def filled(name: str, value: int) -> torch.Tensor:
            return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in batch])

        mask = [[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch]
        return {
            "input_ids": filled("input_ids", self.pad),
            "labels": filled("labels", IGNORE),
            "attention_mask": torch.tensor(mask),
        }


class PackedRows:
    """Several conversations end to end in each row of up to `capacity` tokens, each in the fullest row it fits.

    A conversation that is longer than `capacity` has a row of its own.
    """

    def __init__(self, rows: Rows, capacity: int) -> None:
        self._rows = rows
        lengths = rows.lengths
        self._groups = pack(lengths, max(capacity, max(lengths, default=0)))

    def __len__(self) -> int:
        return len(self._groups)

    def members(self, index: int) -> list[int]:
        """Return which conversations a row holds, in their order."""
        return list(self._groups[index])

    def __getitem__(self, index: int) -> Row:
        row: Row = {"input_ids": [], "labels": [], "position_ids": []}
        for member in self._groups[index]:
            one = self._rows[member]
            row["input_ids"] += one["input_ids"]
            row["labels"] += [IGNORE, *one["labels"][1:]]
            row["position_ids"] += range(len(one["input_ids"]))
        return row


@frozen
class Packed:
    """Lays packed rows above each other; positions that restart, and no mask, keep conversations apart.

    This holds only with `use_cache=False` (transformers builds the block-diagonal mask then, and silently not
    otherwise). What a row is shorter than the longest is filled with padding that counts as more conversations, none
    longer than those that are there: so the cost grows with the rows and not with their square, and no position lies
    behind what the model has. With `flat`, for attention of variable length, all rows lie end to end, and nothing is
    padded.
    """

    pad: int
    flat: bool = False

    def __call__(self, batch: Sequence[Row]) -> dict[str, torch.Tensor]:
        """Return ids, labels and positions; each (rows, tokens), or (1, tokens) if flat."""
        if self.flat:
            return {name: torch.tensor([[value for row in batch for value in row[name]]]) for name in batch[0]}
        longest = max(len(row["input_ids"]) for row in batch)

        def stacked(name: str, value: int) -> torch.Tensor:
            return torch.tensor([row[name] + [value] * (longest - len(row[name])) for row in batch])

        span = 1 + max(max(row["position_ids"]) for row in batch)
        lacks = [longest - len(row["position_ids"]) for row in batch]
        positions = [
            row["position_ids"] + [place % span for place in range(lack)]
            for row, lack in zip(batch, lacks, strict=True)
        ]
        return {
            "input_ids": stacked("input_ids", self.pad),
            "labels": stacked("labels", IGNORE),
            "position_ids": torch.tensor(positions),
        }


def micro_batch(batch: int, mean_length: float, budget: int = 512) -> int:
    """Return the rows per forward pass on a CPU: a divisor of `batch` of about `budget` tokens.

    Long rows are fastest one at a time, as nothing is padded; short ones would pay more for the calls.

    >>> micro_batch(16, 1200), micro_batch(16, 33), micro_batch(6, 200)
    (1, 8, 2)
    """
    most = max(1, int(budget / max(mean_length, 1)))
    return max(size for size in range(1, batch + 1) if batch % size == 0 and size <= most)
