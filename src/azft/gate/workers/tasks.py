"""What worker processes are given to read: stretches of a split's parts in order, of a few megabytes where possible."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby

from attrs import frozen

from azft.domain.rows import Chunk, Part, Wanted

STRETCH = 8 << 20
"""Bytes of a task: several fit into what a worker may be ahead by, and none is so small that starting it shows."""


@frozen
class Task:
    """Rows to read, and about how many bytes they are; it can be handed to another process."""

    split: str
    read: Callable[[], Iterator[Chunk]]
    size: int


def tasks_of(split: str, parts: Sequence[Part], wanted: Wanted | None, columns: tuple[str, ...]) -> list[Task]:
    """Return the wanted rows of a split's parts as tasks, in order; none if a part can be read in this process alone.

    Neighbouring pieces of one file go together until they are large enough to be worth it.
    """
    if not all(part.size for part in parts):
        return []
    tasks: list[Task] = []
    for _whole, some in groupby(parts, key=lambda part: part.piece.whole if part.piece else part):
        stretch: list[Part] = []
        for part in some:
            stretch.append(part)
            if sum(part.size for part in stretch) >= STRETCH:
                tasks += _task(split, stretch, wanted, columns)
                stretch = []
        if stretch:
            tasks += _task(split, stretch, wanted, columns)
    return tasks


def _task(split: str, parts: Sequence[Part], wanted: Wanted | None, columns: tuple[str, ...]) -> list[Task]:
    """Return the parts of one file as a task, or none where no row of them is wanted."""
    if wanted is not None:
        wanted = wanted.of_next(sum(part.count() for part in parts))
        if not wanted.left:
            return []
    size = sum(part.size for part in parts)
    first = parts[0]
    if first.piece is None:
        return [Task(split, partial(first.read, wanted, columns), size)]
    numbers = [part.piece.number for part in parts if part.piece is not None]
    return [Task(split, partial(first.piece.read, numbers, wanted, columns), size)]
