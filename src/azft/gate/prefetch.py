"""Read ahead in a thread: decoding needs no interpreter lock, so that it overlaps with the checks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")
DEPTH = 2
"""Items that are ready or being read while one is in work; each costs both threads a turn at the interpreter lock."""
_END: Any = object()


def prefetched(source: Iterable[T]) -> Iterator[T]:
    """Yield what the source yields, read by a thread; its exception comes out here, and leaving early ends it."""
    items = iter(source)
    with ThreadPoolExecutor(1, thread_name_prefix="azft-read") as pool:
        ahead = deque(pool.submit(next, items, _END) for _ in range(DEPTH))
        while (item := ahead.popleft().result()) is not _END:
            ahead.append(pool.submit(next, items, _END))
            yield item
