"""Best-fit-decreasing bin packing of conversation lengths."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Sequence


def pack(lengths: Sequence[int], capacity: int) -> list[list[int]]:
    """Return groups of indices whose lengths add up to at most `capacity`, each into the fullest group it fits.

    >>> pack([5, 3, 4, 2, 6], 8)
    [[4, 3], [0, 1], [2]]
    """
    groups: list[list[int]] = []
    room: list[tuple[int, int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        place = bisect_left(room, (lengths[index], -1))
        if place == len(room):
            groups.append([index])
            left, group = capacity - lengths[index], len(groups) - 1
        else:
            space, group = room.pop(place)
            groups[group].append(index)
            left = space - lengths[index]
        insort(room, (left, group))
    return groups
