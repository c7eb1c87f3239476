"""From how often each length occurs to quantiles, a histogram, padding, packing and steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from azft.rules.packing import pack

Lengths = NDArray[np.int64]
"""How many rows have each length: `counts[n]` rows of n tokens; the last entry stands for all that are longer."""
LONGEST = 1 << 17
BARS = 16
DRAWN = 8_192
"""Rows drawn to tell how full batches are; exact where there are fewer."""
QUANTILES = (5.0, 25.0, 50.0, 75.0, 90.0, 95.0, 99.0, 100.0)


def quantiles(counts: Lengths) -> tuple[tuple[float, int], ...]:
    """Return (percent, tokens): the shortest length that so many rows do not exceed.

    >>> quantiles(np.bincount([10, 20, 30, 40]))[2:4]
    ((50.0, 20), (75.0, 30))
    """
    up_to = np.cumsum(counts)
    total = int(up_to[-1])
    return tuple((percent, int(np.searchsorted(up_to, total * percent / 100))) for percent in QUANTILES if total)


def histogram(counts: Lengths) -> tuple[tuple[int, int, int], ...]:
    """Return (from, up to but not with, rows) in steps of a round number of tokens."""
    present = np.flatnonzero(counts)
    if not len(present):
        return ()
    rough = (int(present[-1] - present[0]) + 1) / BARS
    unit = 10 ** math.floor(math.log10(max(rough, 1)))
    width = next(unit * step for step in (1, 2, 5, 10) if unit * step >= rough)
    return tuple(
        (start, start + width, int(counts[start : start + width].sum()))
        for start in range(int(present[0]) // width * width, int(present[-1]) + 1, width)
    )


def over(counts: Lengths, limit: int) -> tuple[float, float]:
    """Return the share of rows longer than the limit, and the share of tokens cut off.

    >>> over(np.bincount([50, 150]), 100)
    (0.5, 0.25)
    """
    rows = int(counts.sum())
    if limit <= 0 or not rows:
        return 0.0, 0.0
    lengths = np.arange(len(counts))
    cut = int((np.maximum(lengths - limit, 0) * counts).sum())
    return int(counts[limit + 1 :].sum()) / rows, cut / max(int((lengths * counts).sum()), 1)


def drawn(counts: Lengths, limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Return lengths in random order, cut at the limit: all of them, or so many that are drawn alike."""
    total = int(counts.sum())
    order = np.random.default_rng(seed)
    if total <= DRAWN:
        lengths = np.repeat(np.arange(len(counts)), counts)
    else:
        lengths = np.searchsorted(np.cumsum(counts), order.integers(0, total, DRAWN), side="right")
    order.shuffle(lengths)
    return np.minimum(lengths, limit) if limit > 0 else lengths


def padding_waste(lengths: NDArray[np.int64], batch: int) -> float:
    """Return the share of the tokens of padded batches that is padding.

    >>> round(padding_waste(np.array([10, 30, 20, 20]), 2), 3)
    0.2
    """
    if not len(lengths):
        return 0.0
    padded = sum(
        int(lengths[at : at + batch].max()) * len(lengths[at : at + batch]) for at in range(0, len(lengths), batch)
    )
    return 1 - int(lengths.sum()) / max(padded, 1)


def packs(lengths: Sequence[int], least: int, limit: int) -> float:
    """Return packed rows for one row: cut at the limit (0 for none), and as long as the longest, or `least`.

    >>> packs([10, 10, 20, 40], 0, 0), packs([10, 10, 20, 40], 80, 0), packs([], 0, 0)
    (0.5, 0.25, 1.0)
    """
    cut = np.minimum(lengths, limit) if limit > 0 else np.array(lengths, np.int64)
    return packing(cut, max(least, int(cut.max(initial=0))))[1]


def packing(lengths: NDArray[np.int64], capacity: int) -> tuple[float, float]:
    """Return the share of packed rows that stays empty, and packed rows for one row."""
    if not len(lengths) or capacity <= 0:
        return 0.0, 1.0
    packs = len(pack(lengths.tolist(), max(capacity, int(lengths.max()))))
    return 1 - int(lengths.sum()) / (packs * capacity), packs / len(lengths)
