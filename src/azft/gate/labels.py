"""The classes of a dataset: two or more, and all of one type, as a pipeline reads one column into one type."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import orjson

from azft.domain.rows import Fault
from azft.errors import DatasetError
from azft.gate.splitting import Flags
from azft.gate.spool import Spool

_WORDS = {str: "a text", int: "a whole number"}
Place = tuple[int, int]


def faults_of_labels(column: str, spools: Sequence[Spool], kept: Sequence[Flags]) -> Iterator[tuple[int, int, Fault]]:
    """Yield side, row and fault of each row whose label is of another type than most.

    Errors: `DatasetError` where all rows are of one class.
    """
    types: Counter[type] = Counter()
    classes: set[str | int] = set()
    for _place, label in _labels(column, spools, kept):
        types[type(label)] += 1
        if len(classes) <= 1:
            classes.add(label)
    if len(classes) == 1:
        raise DatasetError(
            f"{column!r} is {classes.pop()!r} in every row, and a classifier wants two classes or more",
            hint="give rows of another class",
        )
    if len(types) > 1:
        usual = max(types, key=lambda kind: types[kind])
        for (side, row), label in _labels(column, spools, kept):
            if type(label) is not usual:
                said = f"{column!r} is {label!r}, and {_WORDS[usual]} in {types[usual]:,} other rows"
                yield side, row, Fault("AZFT-R021", said, "labels of one type in all rows")


def _labels(column: str, spools: Sequence[Spool], kept: Sequence[Flags]) -> Iterator[tuple[Place, str | int]]:
    for side, (spool, flags) in enumerate(zip(spools, kept, strict=True)):
        for row in range(spool.rows):
            if flags[row]:
                yield (side, row), orjson.loads(spool.line(row))[column]
