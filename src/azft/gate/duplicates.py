"""Find conversations that stand twice, and prompts that stand on both sides, in constant memory.

Every row has a 128-bit fingerprint of its normalised prompt on disk. Rows are taken a slice of fingerprints at a time,
as many slices as the memory needs, and sorted; equal neighbours share a prompt. Those of them that stand on one side,
have as many messages and end alike are read again, to compare the whole conversation in the same way. No duplicate is
missed; two different texts pass for one with a probability of 2**-128 for each pair, below 1e-28 for a quarter of a
million rows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter
from typing import Any

import numpy as np
import orjson
from attrs import frozen
from numpy.typing import NDArray

from azft.gate.spool import Spool
from azft.rules.text import conversation_print

BUDGET = 1 << 17
"""Fingerprints in memory at once: a few MiB of them."""
PRINT = np.dtype(
    [("high", "<u8"), ("low", "<u8"), ("side", "<u4"), ("row", "<u4"), ("messages", "<u4"), ("ending", "<u4")]
)
Prints = NDArray[Any]
Talk = Callable[[Any], Any]


@frozen
class Duplicate:
    """A row that says what another one said before: its side and number, and the other's."""

    code: str
    side: int
    row: int
    other_side: int
    other: int


@frozen
class Found:
    """Duplicates within a side, prompts of side 0 that side 1 has too, and the rows of side 1 that have them."""

    duplicates: tuple[Duplicate, ...] = ()
    on_both: tuple[int, ...] = ()


def find_duplicates(spools: Sequence[Spool], talk: Talk = itemgetter("messages")) -> Found:
    """Return what training rows (side 0) and test rows (side 1) repeat; `talk` makes a conversation of a line."""
    if not sum(spool.rows for spool in spools):
        return Found()
    shared = [np.zeros(spool.rows, bool) for spool in spools]
    found: list[Duplicate] = []
    on_both: list[int] = []
    for group in _groups(spools, _prompts, sum(spool.rows for spool in spools)):
        sides = group["side"]
        for side, row in _candidates(group):
            shared[side][row] = True
        if sides[0] != sides[-1]:
            others = group["row"][sides != 0]
            rows = group["row"][sides == 0].tolist()
            found += [Duplicate("AZFT-R103", 0, row, 1, int(others[0])) for row in rows]
            on_both += others.tolist()
    if any(rows.any() for rows in shared):
        found += _same_conversations(spools, shared, talk)
    return Found(tuple(found), tuple(sorted(on_both)))


def _candidates(group: Prints) -> Iterator[tuple[int, int]]:
    """Yield (side, row) of what may be the same conversation: of one prompt, on one side, as long, ending alike."""
    kinds = list(zip(*(group[name].tolist() for name in ("side", "messages", "ending")), strict=True))
    times = Counter(kinds)
    if len(times) < len(kinds):
        yield from ((kind[0], row) for kind, row in zip(kinds, group["row"].tolist(), strict=True) if times[kind] > 1)


def _same_conversations(
    spools: Sequence[Spool], shared: Sequence[NDArray[np.bool_]], talk: Talk
) -> Iterator[Duplicate]:
    exact = [_Exact(spool, rows, talk) for spool, rows in zip(spools, shared, strict=True)]
    rows = sum(int(flags.sum()) for flags in shared)
    for group in _groups(spools, lambda side, _spool: exact[side].prints(side), rows):
        for side in range(len(spools)):
            first, *rest = group["row"][group["side"] == side].tolist() or [-1]
            for row in rest:
                same = exact[side].of(first) == exact[side].of(row)
                yield Duplicate("AZFT-R101" if same else "AZFT-R102", side, row, side, first)


class _Exact:
    """Whole conversations of the rows that share a prompt, read from the spool."""

    def __init__(self, spool: Spool, shared: NDArray[np.bool_], talk: Talk) -> None:
        self._spool = spool
        self._talk = talk
        self._rows = np.flatnonzero(shared)

    def prints(self, side: int) -> Iterator[Prints]:
        with self._spool.lines.open("rb") as lines:
            for first, records in self._spool.records():
                inside = self._rows[(self._rows >= first) & (self._rows < first + len(records))]
                found = np.zeros(len(inside), PRINT)
                rows = self._spool.values(lines, records, (inside - first).tolist())
                for place, (row, value) in enumerate(zip(inside.tolist(), rows, strict=True)):
                    talk = self._talk(value)
                    digest = conversation_print(talk, exact=False)
                    found[place] = (*np.frombuffer(digest, "<u8").tolist(), side, row, len(talk), 0)
                yield found

    def of(self, row: int) -> bytes:
        return conversation_print(self._talk(orjson.loads(self._spool.line(row))), exact=True)


def _prompts(side: int, spool: Spool) -> Iterator[Prints]:
    for first, records in spool.records():
        found = np.empty(len(records), PRINT)
        found["high"], found["low"] = records["high"], records["low"]
        found["side"], found["row"] = side, np.arange(first, first + len(records))
        found["messages"], found["ending"] = records["messages"], records["ending"]
        yield found


def _groups(spools: Sequence[Spool], prints: Callable[[int, Spool], Iterator[Prints]], rows: int) -> Iterator[Prints]:
    """Yield the prints that are equal, at least two together, by side and row within; `rows` of them are made."""
    slices = np.uint64(1 + rows // BUDGET)
    for number in range(int(slices)):
        held = np.concatenate(
            [
                block[block["high"] % slices == number]
                for side, spool in enumerate(spools)
                for block in prints(side, spool)
            ]
        )
        held = held[np.lexsort((held["row"], held["side"], held["low"], held["high"]))]
        same = (held["high"][1:] == held["high"][:-1]) & (held["low"][1:] == held["low"][:-1])
        starts = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)) == 1)
        ends = np.flatnonzero(np.diff(np.concatenate([[False], same, [False]]).astype(np.int8)) == -1)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            yield held[start : end + 1]
