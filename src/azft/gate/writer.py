"""Write lines to a file and compute its SHA-256 in a thread beside that."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import mmap
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType

BLOCK = 4 << 20
"""Bytes written and hashed at once; each of these costs two threads a turn at the interpreter lock."""
Line = bytes | memoryview


class LineWriter:
    """Takes whole lines and writes them in order; used with `with`, and the file is whole only after the block.

    `rows` and `size` tell what was given so far. A `final` file gets its digest, and goes to the disk past the page
    cache where the file system can: filling the cache with what nobody reads soon takes longer than all the checks,
    and the file is durable by the time it is written. Others stay in the cache, to be read again.
    """

    def __init__(self, path: Path, *, final: bool = True) -> None:
        self.path = path
        self.rows = 0
        self.size = 0
        self.sha256 = ""
        self._final = final
        self._sha256 = hashlib.sha256()
        self._hashing: Future[None] | None = None
        self._filled = 0

    def __enter__(self) -> LineWriter:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="azft-hash")
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        # Anonymous maps begin on a page, as writing past the cache asks for; a page is touched only when it is filled.
        self._filling, self._other = mmap.mmap(-1, BLOCK), mmap.mmap(-1, BLOCK)
        return self

    def write(self, lines: Sequence[Line]) -> None:
        """Take lines; an error of the disk comes out here or at the end of the block."""
        self.rows += len(lines)
        for line in lines:
            stop = self._filled + len(line)
            if stop <= BLOCK:
                self._filling[self._filled : stop] = line
                self._filled = stop
            else:
                self._spread(memoryview(line))
            self.size += len(line)

    def append(self, lines: memoryview, rows: int) -> None:
        """Take so many lines that lie one behind the other."""
        self.rows += rows
        self.size += len(lines)
        self._spread(lines)

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._direct(wanted=False)
                self._put()
                self._settled()
                self.sha256 = self._sha256.hexdigest() if self._final else ""
        finally:
            self._pool.shutdown(cancel_futures=True)
            os.close(self._file)

    def _spread(self, line: memoryview) -> None:
        """Lay a line over as many blocks as it takes, so that every block but the last is full."""
        while line:
            part = line[: BLOCK - self._filled]
            self._filling[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            line = line[len(part) :]
            if self._filled == BLOCK:
                self._direct(wanted=self._final)
                self._put()

    def _put(self) -> None:
        """Write what is filled, and have it hashed while the other block is filled."""
        with memoryview(self._filling)[: self._filled] as block:
            written = 0
            while written < self._filled:
                # A write may take fewer bytes, as when the disk is nearly full; the next one says why.
                written += self._written(block[written:])
        self._settled()
        if self._final:
            self._hashing = self._pool.submit(self._hash, self._filling, self._filled)
        self._filling, self._other = self._other, self._filling
        self._filled = 0

    def _written(self, block: memoryview) -> int:
        try:
            return os.write(self._file, block)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Some file systems take the flag and then not the write; through the cache they do.
            self._direct(wanted=False)
            return os.write(self._file, block)

    def _hash(self, block: mmap.mmap, size: int) -> None:
        with memoryview(block)[:size] as filled:
            self._sha256.update(filled)

    def _settled(self) -> None:
        if self._hashing is not None:
            self._hashing.result()

    def _direct(self, *, wanted: bool) -> None:
        """Turn writing past the page cache on or off; whole blocks can go that way, the rest cannot."""
        bit = getattr(os, "O_DIRECT", 0)
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        if bit and wanted != bool(flags & bit):
            # A file system that has no way past the cache, such as one in memory, says so, and is written through it.
            with suppress(OSError):
                fcntl.fcntl(self._file, fcntl.F_SETFL, flags | bit if wanted else flags & ~bit)
