"""How many tokens conversations have, and what a limit and a batch make of that."""

from __future__ import annotations

import math

from attrs import evolve, frozen


@frozen
class TokenStatistics:
    """Tokens of the training split as the model reads them, chat template included; rows cut off it later count too.

    `exact` tells whether every row was counted; else `error` has the median and the 99th percentile of the relative
    error of an estimated row, on rows that were counted. `quantiles` are (percent, tokens). `histogram` has
    (tokens from, tokens up to, rows). `limit` is max_seq_length, 0 if none is known; `truncated` the share of rows
    that are longer, `lost` the share of tokens that are cut off, `nothing_left` the rows with nothing to learn then.
    `padding` is the share of a padded batch of `batch` rows that is padding, in random order, and `packed` that of
    rows packed to the limit. `steps` are optimizer steps of one epoch, and `steps_packed` those of packed rows.
    `counted` rows were counted with the tokenizer.
    """

    rows: int
    tokens: int
    exact: bool
    method: str
    error: tuple[float, float] = (0.0, 0.0)
    quantiles: tuple[tuple[float, int], ...] = ()
    histogram: tuple[tuple[int, int, int], ...] = ()
    limit: int = 0
    truncated: float = 0.0
    lost: float = 0.0
    nothing_left: int = 0
    batch: int = 1
    padding: float = 0.0
    packed: float = 0.0
    steps: int = 0
    steps_packed: int = 0
    counted: int = 0

    def of_rows(self, rows: int) -> TokenStatistics:
        """Return the same with the steps of so many rows, which are left of these."""
        share = rows / self.rows if self.rows else 0.0
        steps = -(-rows // self.batch)
        return evolve(self, steps=steps, steps_packed=min(steps, math.ceil(self.steps_packed * share)))

    @property
    def mean(self) -> float:
        """Tokens of a row."""
        return self.tokens / self.rows if self.rows else 0.0
