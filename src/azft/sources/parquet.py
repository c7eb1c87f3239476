"""Rows of Parquet files, a row group at a time, in small batches on one thread: constant memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate, chain, islice
from pathlib import Path
from typing import Any

import xxhash

from azft.domain.rows import BadRow, Chunk, Part, Piece, Wanted
from azft.errors import DatasetError
from azft.sources.objects import rows_of
from azft.sources.parsing import NOT_JSON

MAGIC = b"PAR1"
CELLS = (ArithmeticError, LookupError, OSError, TypeError, ValueError)
"""What is raised for a cell that Python cannot hold: broken text, a day beyond its calendar, an unknown time zone."""
DECODED = 200
"""Rows decoded at once: a few milliseconds in which no other thread has to wait for this one."""


class ParquetSource:
    """One Parquet file: its name to show, what opens it (a path or a file object), its footer, and its version.

    It is opened once, however many row groups are read of it: every call of the library costs a turn at the
    interpreter lock, which another thread holds most of the time.
    """

    def __init__(
        self, name: str, open_: Callable[[], Any], metadata: Any, *, version: str = "", revision: str = ""
    ) -> None:
        self.name = name
        self.open = open_
        self.metadata = metadata
        self.version = version
        self.revision = revision
        self.columns: tuple[str, ...] = tuple(metadata.schema.to_arrow_schema().names)
        double = [name for number, name in enumerate(self.columns) if name in self.columns[:number]]
        if double:
            said = f"{name}: the column {double[0]!r} stands twice"
            raise DatasetError(said, hint="rename or remove one of them, as only one could be read")
        self._file: Any = None
        self._ends = list(accumulate(map(self.rows, range(metadata.num_row_groups))))

    def rows(self, group: int) -> int:
        """Return how many rows a row group has."""
        return int(self.metadata.row_group(group).num_rows)

    def numbers(self, group: int) -> range:
        """Return the numbers of a row group's rows, counted from 1 through the file."""
        return range(self._ends[group] - self.rows(group) + 1, self._ends[group] + 1)

    def __getstate__(self) -> dict[str, Any]:
        """Leave the open file out: another process opens it for itself."""
        return {**self.__dict__, "_file": None}

    def file(self) -> Any:
        """Return the open file."""
        import pyarrow.parquet as pq

        if self._file is None:
            self._file = pq.ParquetFile(self.open(), metadata=self.metadata, pre_buffer=False)
        return self._file


def footer(name: str, stream: Any) -> Any:
    """Return the footer of a file; `DatasetError` names one that is not Parquet."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(stream)
    except (pa.ArrowException, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = str(error).split(". ")[0]
        raise DatasetError(f"{name} is not Parquet, or is cut short: {said}", hint="copy or write it again") from error


def path_parts(path: Path) -> list[Part]:
    """Return a part for each row group of a local file."""
    return parts_of(ParquetSource(str(path), partial(str, path), footer(str(path), str(path))), local=True)


def parts_of(source: ParquetSource, *, local: bool = False) -> list[Part]:
    """Return a part for each row group; neighbours are read in one go."""
    return [
        Part(
            source.name,
            partial(_read, source, (group,)),
            partial(source.rows, group),
            source.rows(group),
            partial(_content, source, group),
            clustered=True,
            columns=source.columns,
            revision=source.revision,
            piece=Piece(source, group, partial(_read, source)),
            size=int(source.metadata.row_group(group).total_byte_size) if local else 0,
        )
        for group in range(source.metadata.num_row_groups)
    ]


def _read(
    source: ParquetSource, groups: Sequence[int], wanted: Wanted | None, columns: tuple[str, ...] = ()
) -> Iterator[Chunk]:
    import pyarrow as pa

    pool = pa.default_memory_pool()
    # The system's allocator gives back what a row group took; Arrow's own keeps 40 MB more, and is no faster here.
    pa.set_memory_pool(pa.system_memory_pool())
    # Without any column a batch has no rows to tell of.
    kept = [column for column in source.columns if column in columns] or None
    rows = chain.from_iterable(map(source.numbers, groups))
    try:
        for batch in source.file().iter_batches(DECODED, row_groups=list(groups), columns=kept, use_threads=False):
            numbers: Sequence[int] = list(islice(rows, batch.num_rows))
            taken, numbers = _wanted(batch, numbers, wanted) if wanted is not None else (batch, numbers)
            if numbers:
                yield Chunk(source.name, numbers, partial(_values, source.name, taken, numbers), "row")
            if wanted is not None and not wanted.left:
                return
    except (pa.ArrowException, OSError, OverflowError, TypeError, ValueError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        first = next(rows)
        broken = next(group for group in groups if first in source.numbers(group))
        left = range(first, source.numbers(broken)[-1] + 1)
        yield from _left(source, broken, left, wanted, kept) or [_unreadable(source, left, wanted, error)]
        after = groups[groups.index(broken) + 1 :]
        if after:
            yield from _read(source, after, wanted, columns)
    finally:
        pa.set_memory_pool(pool)


def _left(
    source: ParquetSource, group: int, numbers: range, wanted: Wanted | None, kept: list[str] | None
) -> list[Chunk]:
    """Return what is left of a row group where reading broke off, if only the next one is broken; else nothing.

    Rows are decoded across the borders of groups, and what one process reads in one go, several read in pieces.
    """
    import pyarrow as pa

    try:
        whole = source.file().read_row_group(group, columns=kept, use_threads=False)
        batches = whole.slice(len(whole) - len(numbers)).combine_chunks().to_batches()
    except (pa.ArrowException, OSError, OverflowError, TypeError, ValueError):
        return []
    taken = [_wanted(batch, numbers, wanted) if wanted is not None else (batch, numbers) for batch in batches]
    return [Chunk(source.name, some, partial(_values, source.name, batch, some), "row") for batch, some in taken]


def _unreadable(source: ParquetSource, numbers: range, wanted: Wanted | None, error: Exception) -> Chunk:
    """Return what is told of a row group that cannot be read from its first number on; none of its rows is taken."""
    for _row in numbers if wanted is not None else ():
        wanted.takes()  # type: ignore[union-attr]
    reason = f"this row group cannot be read: {str(error).partition(chr(10))[0]}"
    unread = f"{len(numbers) - 1:,} rows" if len(numbers) > 1 else ""
    bad = BadRow(source.name, numbers[0], reason, NOT_JSON, "write the file again", "row", unread=unread)
    return Chunk.of(source.name, [numbers[0]], [bad])


def _wanted(batch: Any, numbers: Sequence[int], wanted: Wanted) -> tuple[Any, Sequence[int]]:
    """Return the wanted rows of the batch, and their numbers."""
    import pyarrow as pa

    chosen = [wanted.takes() for _row in numbers]
    if all(chosen):
        return batch, numbers
    taken = [number for number, is_wanted in zip(numbers, chosen, strict=True) if is_wanted]
    return batch.filter(pa.array(chosen)), taken


def _values(name: str, batch: Any, numbers: Sequence[int], start: int, stop: int) -> list[Any]:
    try:
        return rows_of(batch.slice(start, stop - start))
    except CELLS:
        return [_value(name, batch.slice(index, 1), numbers[index]) for index in range(start, stop)]


def _value(name: str, batch: Any, number: int) -> Any:
    try:
        return batch.to_pylist()[0]
    except UnicodeDecodeError as error:
        return BadRow(name, number, f"not valid UTF-8: {error.reason}", "AZFT-R002", "write it as UTF-8", "row")
    except CELLS as error:
        said = f"a cell cannot be read: {type(error).__name__}: {error}"
        return BadRow(name, number, said, "AZFT-R006", "leave the column out, or write it as text", "row")


def _content(source: ParquetSource, group: int) -> str:
    """Return a digest of the row group: of its place in a file whose version is known, or whose footer and time are.

    The footer has the places and sizes of all columns, and most have their least and greatest values. The bytes
    themselves are not read: where each column lies is asked of the library by a call that ends the process if the
    footer is broken in certain ways (pyarrow 25).
    """
    digest = xxhash.xxh3_128(f"{group}\0{','.join(source.columns)}\0{source.version}".encode())
    if not source.version:
        path = Path(source.open())
        size = int(source.metadata.serialized_size) + len(b"size" + MAGIC)
        with path.open("rb") as file:
            file.seek(-size, os.SEEK_END)
            digest.update(file.read())
        digest.update(f"{path.stat().st_size} {path.stat().st_mtime_ns}".encode())
    return digest.hexdigest()
