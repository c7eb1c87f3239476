"""Rows on their way in: single ones, the pieces a source is read in, and those that cannot be used."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from itertools import groupby
from typing import Any, Literal, Protocol, TypeVar

from attrs import field, frozen

from azft.escapes import visible

LONGEST = 16 << 20
"""Bytes that one row may have, so that a file without line ends cannot fill the memory."""
Action = Literal["refused", "dropped", "left out", "fixed", "kept"]


@frozen
class SourceRow:
    """One row as read, and where it stands: a file and a line (or row) number counted from 1."""

    value: Any
    file: str
    line: int


@frozen
class Fault:
    """What is wrong with a row, the code of that kind of fault, and what would fix it."""

    code: str
    reason: str
    fix: str


@frozen
class BadRow:
    """A row that cannot be used: where it stands, why, by which code, what it looks like, and what would fix it.

    `unit` is what `line` counts: lines of a text file, rows of another. `original` is the row itself, or its bytes
    where they are not text. `action` says what became of it: the data is "refused" for it, it was "dropped", "left out"
    as the dataset is known to have such rows, "fixed", or "kept". `unread` is how much of the file lies behind a row
    that cannot be told apart from what follows, such as "1,234 bytes"; empty where nothing does.
    """

    file: str
    line: int
    reason: str
    code: str = "AZFT-R000"
    fix: str = ""
    unit: str = "line"
    split: str = ""
    action: Action = "refused"
    original: Any = None
    unread: str = ""

    def __str__(self) -> str:
        return visible(f"{self.place}: {self.reason} [{self.code}]" + (f" ({self.fix})" if self.fix else ""))

    @property
    def place(self) -> str:
        """The file and the line or row."""
        return f"{self.file}, {self.unit} {self.line}"


@frozen(eq=False)
class Chunk:
    """Neighbouring rows of one file, each with its number; a value that could not be read is a `BadRow`.

    `load(start, stop)` makes the values of a range of them, so that one thread can decode many rows and leave making
    objects to another, a few at a time.
    """

    file: str
    numbers: Sequence[int]
    load: Callable[[int, int], Sequence[Any]]
    unit: str = "line"

    @classmethod
    def of(cls, file: str, numbers: Sequence[int], values: Sequence[Any], unit: str = "line") -> Chunk:
        """Return a chunk of values that are there already."""
        return cls(file, numbers, lambda start, stop: values[start:stop], unit)

    def pieces(self, size: int) -> Iterator[tuple[Sequence[int], Sequence[Any]]]:
        """Yield (numbers, values) of so many rows at a time."""
        for start in range(0, len(self.numbers), size):
            numbers = self.numbers[start : start + size]
            yield numbers, self.load(start, start + len(numbers))

    def rows(self) -> Iterator[SourceRow | BadRow]:
        """Yield the rows one by one, each with its place."""
        for number, value in zip(self.numbers, self.load(0, len(self.numbers)), strict=True):
            yield value if isinstance(value, BadRow) else SourceRow(value, self.file, number)


class Wanted:
    """Which rows to take, told one at a time in the order of the rows; `left` of them are still to come."""

    def __init__(self, chosen: Iterable[bool], count: int) -> None:
        self._chosen = iter(chosen)
        self.left = count

    def takes(self) -> bool:
        """Return whether the next row is wanted."""
        wanted = self.left > 0 and next(self._chosen, False)
        self.left -= wanted
        return wanted

    def of_next(self, rows: int) -> Wanted:
        """Return what is wanted of the next so many rows, as something that another process can be told."""
        flags = bytes(self.takes() for _row in range(rows))
        return Wanted(map(bool, flags), sum(flags))


T = TypeVar("T")


def only(rows: Iterable[T], wanted: Wanted | None) -> Iterator[T]:
    """Yield the wanted rows, and look at no more once there are none to come."""
    if wanted is None:
        yield from rows
        return
    for row in rows:
        if wanted.takes():
            yield row
        if not wanted.left:
            return


class Reads(Protocol):
    """Yields the wanted rows, all of them for None, with the named columns, all of them for none."""

    def __call__(self, wanted: Wanted | None, columns: tuple[str, ...] = (), /) -> Iterator[Chunk]:
        """Yield chunks in order."""
        ...


class ReadsMany(Protocol):
    """Yields the wanted rows of several pieces of one file, named by their numbers."""

    def __call__(
        self, numbers: Sequence[int], wanted: Wanted | None, columns: tuple[str, ...] = (), /
    ) -> Iterator[Chunk]:
        """Yield chunks in order."""
        ...


@frozen(eq=False)
class Piece:
    """Where a part belongs: its file, its number there, and what reads several of that file in one go."""

    whole: object
    number: int
    read: ReadsMany


def _once(count: Callable[[], int]) -> Callable[[], int]:
    """Return the function with its answer remembered, as counting may mean reading everything."""
    return cache(count)


@frozen(eq=False)
class Part:
    """A piece of a source that can be read by itself: a file, or a row group of a Parquet file.

    `read(wanted, columns)` yields its rows. `rows` is their number where it is known without reading, and `count()`
    finds it out, once. `content()` is a digest of what would be read, empty where nothing can be told without reading.
    `clustered` says that the part is one of several pieces of a file, so that some can be left unread, and `piece`
    which. `columns` are the names of the columns where they are known without reading. `notes` say how the file is
    read, where that had to be guessed. `size` is how many bytes it has, uncompressed where that is known, if another
    process can read it as well as this one; 0 for all others.
    """

    file: str
    read: Reads
    count: Callable[[], int] = field(converter=_once)
    rows: int | None = None
    content: Callable[[], str] = str
    clustered: bool = False
    columns: tuple[str, ...] = ()
    revision: str = ""
    piece: Piece | None = None
    notes: tuple[str, ...] = ()
    size: int = 0


def read_all(parts: Iterable[Part], wanted: Wanted | None, columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    """Yield the wanted rows of the parts in order; pieces of one file are read in one go, which is quicker."""
    for _whole, some in groupby(parts, key=lambda part: part.piece.whole if part.piece else part):
        if wanted is not None and not wanted.left:
            return
        first, *others = some
        if first.piece is None or not others:
            yield from first.read(wanted, columns)
        else:
            numbers = [part.piece.number for part in (first, *others) if part.piece is not None]
            yield from first.piece.read(numbers, wanted, columns)
