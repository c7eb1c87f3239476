"""Choose rows exactly and repeatably, one row at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator


def portion(total: int, percent: float) -> int:
    """Return how many of `total` rows `percent` is, rounded to nearest and never none of some.

    >>> portion(23110, 5), portion(207865, 5), portion(3, 1)
    (1156, 10393, 1)
    """
    return min(total, max(1, int(total * percent / 100 + 0.5))) if total else 0


def share(rows: int, fraction: float) -> int:
    """Return that fraction of the rows: at least one where there is any to spare, never all."""
    return 0 if fraction == 0 or rows <= 1 else max(1, min(rows - 1, round(rows * fraction)))


def choose(total: int, wanted: int, seed: int) -> Iterator[bool]:
    """Yield for each of `total` rows whether it is chosen; exactly `wanted` are, in constant memory.

    Selection sampling: Knuth, The Art of Computer Programming, volume 2, section 3.4.2, algorithm S.

    >>> sum(choose(1000, 50, seed=1)), list(choose(4, 4, seed=1)), list(choose(2, 0, seed=1))
    (50, [True, True, True, True], [False, False])
    """
    source = random.Random(seed)
    for index in range(total):
        taken = source.random() * (total - index) < wanted
        wanted -= taken
        yield taken
