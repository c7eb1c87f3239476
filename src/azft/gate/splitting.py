"""Divide the rows of a spool into files: whole prompts to one side each, and exactly as many rows as that allows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from attrs import evolve, frozen
from numpy.typing import NDArray

from azft.domain.data import DataFile
from azft.gate.spool import Records, Spool
from azft.gate.writer import LineWriter

Flags = NDArray[np.bool_]
AT_ONCE = 512
"""Rows copied at once: a few megabytes."""
_TOP = np.uint64(48)
_BUCKETS = 1 << 16


@frozen
class Cut:
    """Rows whose rank is at most `limit` go to the file `name`; `rows` of them, where `wanted` were asked for."""

    name: str
    wanted: int
    rows: int
    limit: int


def cuts(spool: Spool, kept: Flags, wanted: Mapping[str, int], seed: int) -> list[Cut]:
    """Return, for each name in turn, the ranks that go to it.

    A row's rank is a seeded hash of its prompt's fingerprint, so that it does not depend on the order of the rows, and
    rows with one prompt have one rank. The n lowest ranks are found with a histogram and one look into a bucket.
    """
    counts = np.zeros(_BUCKETS, np.int64)
    for rank in _ranks(spool, kept, seed):
        counts += np.bincount((rank >> _TOP).astype(np.int64), minlength=_BUCKETS)
    found: list[Cut] = []
    taken = 0
    for name, rows in wanted.items():
        limit, up_to = _lowest(spool, kept, seed, counts, taken + rows) if rows else (-1, taken)
        found.append(Cut(name, rows, max(up_to - taken, 0), limit))
        taken = max(up_to, taken)
    return found


def divide(
    spool: Spool, kept: Flags, folder: Path, rest: str, parts: Sequence[Cut] = (), *, seed: int = 0
) -> dict[str, DataFile]:
    """Write the kept rows to a file for each cut and one for the rest, in their order."""
    names = [*(part.name for part in parts), rest]
    with ExitStack() as stack, spool.lines.open("rb") as lines:
        outlets = [stack.enter_context(LineWriter(folder / f"{name}.jsonl")) for name in names]
        for first, records in spool.records(AT_ONCE):
            block = memoryview(lines.read(int(records["size"].sum())))
            ranks = _mixed(records, seed)
            place = np.full(len(records), len(parts), np.int64)
            for number, part in reversed(list(enumerate(parts))):
                if part.limit >= 0:
                    place[ranks <= np.uint64(part.limit)] = number
            place[~kept[first : first + len(records)]] = -1
            starts = (records["offset"] - records["offset"][0]).tolist()
            sizes = records["size"].tolist()
            for number, outlet in enumerate(outlets):
                rows = np.flatnonzero(place == number).tolist()
                outlet.write([block[starts[row] : starts[row] + sizes[row]] for row in rows])
    return {
        name: DataFile(outlet.path, outlet.rows, outlet.sha256) for name, outlet in zip(names, outlets, strict=True)
    }


def moved(spool: Spool, name: str, folder: Path) -> DataFile:
    """Give the spool's lines their name as they are, every row being kept."""
    path = spool.lines.rename(folder / f"{name}.jsonl")
    return DataFile(path, spool.rows, spool.sha256)


def nothing(name: str, folder: Path) -> DataFile:
    """Write a file without rows."""
    with LineWriter(folder / f"{name}.jsonl") as outlet:
        outlet.write([])
    return DataFile(outlet.path, 0, outlet.sha256)


def _ranks(spool: Spool, kept: Flags, seed: int) -> Iterator[NDArray[np.uint64]]:
    for first, records in spool.records():
        yield _mixed(records, seed)[kept[first : first + len(records)]]


def _mixed(records: Records, seed: int) -> NDArray[np.uint64]:
    """Return splitmix64 of the fingerprint and the seed (Steele, Lea and Flood, 2014)."""
    mixed = records["low"] ^ np.uint64(seed * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def _lowest(spool: Spool, kept: Flags, seed: int, counts: NDArray[np.int64], wanted: int) -> tuple[int, int]:
    """Return the largest rank with at most `wanted` rows up to it, or else the smallest, and how many those are."""
    total = int(counts.sum())
    before = np.cumsum(counts) - counts
    bucket = int(np.searchsorted(np.cumsum(counts), wanted))
    if bucket >= _BUCKETS:
        return -1, 0
    members = [rank[(rank >> _TOP) == np.uint64(bucket)] for rank in _ranks(spool, kept, seed)]
    ranks, sizes = np.unique(np.concatenate(members), return_counts=True)
    up_to = int(before[bucket]) + np.cumsum(sizes)
    fitting = np.flatnonzero(up_to <= wanted)
    if len(fitting):
        return int(ranks[fitting[-1]]), int(up_to[fitting[-1]])
    if before[bucket]:
        return (bucket << 48) - 1, int(before[bucket])
    return (int(ranks[0]), int(up_to[0])) if up_to[0] < total else (-1, 0)


def renamed(files: Mapping[str, DataFile], folder: Path) -> dict[str, DataFile]:
    """Return the files as they will be called in the folder."""
    return {name: evolve(file, path=folder / file.path.name) for name, file in files.items()}
