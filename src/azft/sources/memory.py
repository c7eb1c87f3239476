"""Rows that are in memory: a pandas frame, a dataset of the library `datasets`, a list, or one of these a split."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import orjson
import xxhash

from azft.domain.rows import Chunk, Part, Wanted, only
from azft.domain.specs import OwnRows
from azft.errors import ConfigurationError, DatasetError
from azft.sources.grouping import together

EXPECTED = "a name, a path, a pandas frame, a datasets.Dataset, a list of dicts, or a mapping of splits to such rows"


def own_rows(value: Any, split: str) -> OwnRows:
    """Return the rows of a value by split, one split for what has none; `ConfigurationError` for any other value."""
    tables = dict(value) if isinstance(value, Mapping) else {split: value}
    if not tables:
        raise ConfigurationError("dataset is an empty mapping", hint=f"expected {EXPECTED}")
    readers: dict[str, Callable[[], Iterable[Any]]] = {str(name): _reader(table) for name, table in tables.items()}
    counts = {str(name): len(table) for name, table in tables.items()}
    return OwnRows(lambda name: readers[name](), counts, _digest(readers))


def memory_parts(rows: OwnRows, source: str, split: str) -> Sequence[Part]:
    """Return the rows of one split as a part."""
    if split not in rows.counts:
        raise DatasetError(f"the rows given have no split {split!r}; they have {', '.join(rows.counts)}")
    count = rows.counts[split]
    name = f"{source} {split}"
    return [Part(name, partial(_read, name, rows, split), lambda: count, count, lambda: f"{rows.content} {split}")]


def _read(
    name: str, rows: OwnRows, split: str, wanted: Wanted | None, _columns: tuple[str, ...] = ()
) -> Iterator[Chunk]:
    yield from together(name, only(enumerate(rows.read(split), start=1), wanted), "row")


def _reader(table: Any) -> Callable[[], Iterable[Any]]:
    home = type(table).__module__.partition(".")[0]
    if home == "pandas" and hasattr(table, "columns"):
        double = [str(name) for name, twice in zip(table.columns, table.columns.duplicated(), strict=True) if twice]
        if double:
            raise ConfigurationError(f"the frame has the column {double[0]!r} twice", hint="rename or drop one of them")
        return partial(_of_frame, table)
    if home == "datasets" and hasattr(table, "with_format") and hasattr(table, "__len__"):
        return partial(map, _plain, table.with_format(None))
    if home == "pyarrow" and hasattr(table, "to_pylist"):
        return lambda: iter(table.to_pylist())
    if isinstance(table, Sequence) and not isinstance(table, str | bytes):
        if table and all(isinstance(row, str | Path) for row in table):
            said = "dataset is a list of texts, expected rows, each an object"
            raise ConfigurationError(said, hint="of files give a glob or their folder, such as 'chats/*.jsonl'")
        return partial(map, _plain, table)
    hint = "a mapping of splits takes rows; files of several splits are a folder" if _is_path(table) else "list(rows)"
    raise ConfigurationError(f"dataset is {type(table).__name__}, expected {EXPECTED}", hint=hint)


def _is_path(value: Any) -> bool:
    return isinstance(value, str | Path)


def _of_frame(frame: Any) -> Iterator[dict[str, Any]]:
    """Yield the rows of a frame, what is missing as null and arrays in cells as lists."""
    names = [str(name) for name in frame.columns]
    blank = frame.isna().to_numpy()
    for cells, missing in zip(frame.itertuples(index=False, name=None), blank, strict=True):
        yield {
            name: None if gone else _plain(cell)
            for name, cell, gone in zip(names, cells, missing.tolist(), strict=True)
        }


def _plain(value: Any) -> Any:
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value


def _digest(readers: Mapping[str, Callable[[], Iterable[Any]]]) -> str:
    digest = xxhash.xxh3_128()
    for split, read in readers.items():
        digest.update(f"{split}\0".encode())
        for row in read():
            digest.update(_written(row) + b"\n")
    return digest.hexdigest()


def _written(row: Any) -> bytes:
    try:
        return orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY)
    except (TypeError, orjson.JSONEncodeError):
        return repr(row).encode("utf-8", "backslashreplace")
