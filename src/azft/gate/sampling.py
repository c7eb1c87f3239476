"""Which parts of a source, and which of their rows, a share of it means."""

from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import accumulate, repeat

from azft.domain.data import DataSettings
from azft.domain.rows import Part, Wanted
from azft.errors import DatasetError
from azft.rules.sampling import choose, portion

WHOLE = 100.0


def chosen(parts: Sequence[Part], settings: DataSettings) -> tuple[Sequence[Part], Wanted | None, int | None]:
    """Return the parts to read, which of their rows to take (None for all), and how many that are, if it is known.

    "first" takes the first rows, "random" draws from all rows alike. "cluster" draws row groups first and rows in
    them second, so that little is read: rows that lie together are drawn together, which is fair only where the
    order of the rows means nothing.
    """
    if settings.percent >= WHOLE:
        known = [part.rows for part in parts]
        return parts, None, None if None in known else sum(rows or 0 for rows in known)
    totals = [part.count() if part.rows is None else part.rows for part in parts]
    wanted = portion(sum(totals), settings.percent)
    if settings.sample == "random":
        return parts, Wanted(choose(sum(totals), wanted, settings.seed), wanted), wanted
    if settings.sample == "first":
        enough = 1 + sum(total < wanted for total in accumulate(totals))
        return parts[:enough], Wanted(repeat(True), wanted), wanted
    if not all(part.clustered for part in parts):
        said = f"{next(part.file for part in parts if not part.clustered)} has no row groups to draw from"
        raise DatasetError(f'sample="cluster" takes Parquet: {said}', hint='sample="random" draws from every row')
    drawn = _drawn(totals, wanted, settings.seed)
    rows = sum(totals[index] for index in drawn)
    return [parts[index] for index in drawn], Wanted(choose(rows, wanted, settings.seed), wanted), wanted


def _drawn(totals: Sequence[int], wanted: int, seed: int) -> list[int]:
    """Draw parts, in their order, until they hold the wanted rows."""
    order = list(range(len(totals)))
    random.Random(seed).shuffle(order)
    held = list(accumulate(totals[index] for index in order))
    return sorted(order[: 1 + sum(rows < wanted for rows in held)])
