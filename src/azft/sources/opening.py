"""Open files, compressed ones too, as streams of bytes; and say what kind of file a name stands for."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import xxhash

from azft.errors import DatasetError
from azft.files import BLOCK

KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
COMPRESSED = (".gz", ".bz2", ".xz", ".zst")
BOM = b"\xef\xbb\xbf"


def kind_of(name: str) -> str:
    """Return the file's kind by its name, whatever its case and compression; empty if it is not known.

    >>> kind_of("chats.JSONL.gz"), kind_of("a/train.parquet"), kind_of("notes.txt")
    ('.jsonl', '.parquet', '')
    """
    plain = name.lower()
    packed = next((ending for ending in COMPRESSED if plain.endswith(ending)), "")
    kind = next((kind for kind in KINDS if plain.removesuffix(packed).endswith(kind)), "")
    return "" if packed and kind == ".parquet" else kind


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Give the file's bytes, uncompressed; `DatasetError` names a file whose compression is broken."""
    try:
        with _OPENERS.get(path.suffix.lower(), _open_plain)(path) as stream:
            yield stream
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError, zlib.error) as error:
        raise DatasetError(f"{path} is broken or cut short: {error}", hint="copy or compress it again") from error
    except OSError as error:
        # bz2 and zstd tell of broken content with an error that has no number, as a disk's would.
        if error.errno is not None:
            raise
        raise DatasetError(f"{path} is broken or cut short: {error}", hint="copy or compress it again") from error


def is_compressed(path: Path) -> bool:
    """Return whether the name says that the file is compressed."""
    return path.suffix.lower() in COMPRESSED


def content_of(path: Path) -> str:
    """Return a digest of the file's bytes as they are on the disk."""
    digest = xxhash.xxh3_128()
    with path.open("rb", buffering=0) as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _open_plain(path: Path) -> BinaryIO:
    return path.open("rb")


def _open_zst(path: Path) -> Any:
    import pyarrow as pa

    return pa.input_stream(str(path), compression="zstd")


_OPENERS: dict[str, Callable[[Path], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}
