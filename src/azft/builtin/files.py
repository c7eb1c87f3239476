"""Rows of local files: JSONL, JSON, CSV and Parquet, one at a time."""

from __future__ import annotations

import csv
import glob
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

from azft.domain.data import BadRow, SourceRow
from azft.errors import DatasetError

Rows = Iterator[SourceRow | BadRow]


def files_of(source: Path, split: str) -> list[Path]:
    """Return the files of one split: a file or a glob is taken as it is, a folder is searched for the split's files.

    In a folder the split `train` is in `train.jsonl`, `train-00000-of-00002.parquet`, `train/...` and the like.
    """
    if source.is_file():
        return [source]
    if source.is_dir():
        return _split_of_folder(source, split)
    found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True)) if Path(name).is_file()]
    if not found:
        raise DatasetError(f"no file {source}", hint="file:// takes a file, a glob such as chats/*.jsonl, or a folder")
    return found


def read_file(path: Path) -> Rows:
    """Yield the file's rows with their line (or row) numbers; what cannot be read is a `BadRow`."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise DatasetError(f"{path}: unknown kind of file", hint=f"azft reads {', '.join(_READERS)}")
    return reader(path)


def _split_of_folder(folder: Path, split: str) -> list[Path]:
    known = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _READERS and path.is_file())
    named = re.compile(rf"(.*[.-])?{re.escape(split)}([.-].*|_\d.*)?")

    def belongs(path: Path) -> bool:
        return any(named.fullmatch(part) for part in (*path.relative_to(folder).parts[:-1], path.stem))

    chosen = [path for path in known if belongs(path)]
    if not chosen:
        names = ", ".join(str(path.relative_to(folder)) for path in known[:5]) or f"no {', '.join(_READERS)} file"
        hint = "give the DatasetSpec train_split= and test_split= as the files are called, or a file or glob"
        raise DatasetError(f"{folder} has no file of the split {split!r}; it has {names}", hint=hint)
    return chosen


def _read_jsonl(path: Path) -> Rows:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            text = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if text.strip():
                yield _parsed(text, str(path), number)


def _read_json(path: Path) -> Rows:
    try:
        found = orjson.loads(path.read_bytes().removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as error:
        line = getattr(error, "lineno", 1)
        yield BadRow(str(path), line, f"not JSON: {error} (one object per line is .jsonl)")
        return
    if not isinstance(found, list):
        yield BadRow(str(path), 1, "expected a list of objects")
        return
    for number, row in enumerate(found, start=1):
        yield SourceRow(row, str(path), number)


def _read_csv(path: Path) -> Rows:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if "messages" not in (reader.fieldnames or ()):
            columns = ", ".join(reader.fieldnames or ()) or "none"
            yield BadRow(str(path), 1, f"no column 'messages' (a JSON list in each cell); its columns are {columns}")
            return
        for row in reader:
            read = _parsed((row["messages"] or "").encode(), str(path), reader.line_num)
            yield read if isinstance(read, BadRow) else SourceRow({"messages": read.value}, read.file, read.line)


def _read_parquet(path: Path) -> Rows:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        for batch in pq.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield SourceRow(row, str(path), number)
    except pa.ArrowInvalid as error:
        yield BadRow(str(path), number + 1, f"not Parquet: {error}")


def _parsed(text: bytes, file: str, line: int) -> SourceRow | BadRow:
    try:
        return SourceRow(orjson.loads(text), file, line)
    except orjson.JSONDecodeError as error:
        column = getattr(error, "colno", 0)
        return BadRow(file, line, f"not JSON: {str(error).partition(':')[0]} (column {column})")


_READERS: dict[str, Callable[[Path], Rows]] = {
    ".jsonl": _read_jsonl,
    ".json": _read_json,
    ".csv": _read_csv,
    ".parquet": _read_parquet,
}
