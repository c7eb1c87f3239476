"""Write lines to a file, and compute its SHA-256 in a thread beside that."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

BEHIND = 16 << 20
"""Bytes after which the digest catches up; it reads what was just written, which is still in memory."""
BLOCK = 4 << 20
"""Bytes hashed at once: each block costs two turns at the interpreter lock."""
Line = bytes | memoryview
AT_MOST = 512
"""Lines given to the system at once; it takes 1,024."""


class Outlet:
    """Takes whole lines and writes them in order; used with `with`, and the digest is there only after the block.

    `rows` and `size` tell what was written so far. `sha256` stays empty if it was not asked for.
    """

    def __init__(self, path: Path, *, digest: bool = True) -> None:
        self.path = path
        self.rows = 0
        self.size = 0
        self.sha256 = ""
        self._digest = digest
        self._hashed = 0
        self._behind: Future[None] | None = None

    def __enter__(self) -> Outlet:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="azft-hash")
        self._file = self.path.open("w+b", buffering=0)
        self._sha256 = hashlib.sha256()
        return self

    def write(self, lines: Sequence[Line]) -> None:
        """Write lines."""
        for start in range(0, len(lines), AT_MOST):
            self._put(lines[start : start + AT_MOST])
        self.rows += len(lines)
        if self._digest and self.size - self._hashed >= BEHIND and (self._behind is None or self._behind.done()):
            self._catch_up()

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        try:
            if kind is None and self._digest:
                self._catch_up()
                self._settled()
                self.sha256 = self._sha256.hexdigest()
        finally:
            self._pool.shutdown(cancel_futures=True)
            self._file.close()

    def _put(self, lines: Sequence[Line]) -> None:
        """Write all of the lines: the system may take a part, as when the disk is nearly full, and then says why."""
        size = sum(map(len, lines))
        written = os.writev(self._file.fileno(), lines)
        if written < size:
            left = memoryview(b"".join(lines))[written:]
            while left:
                left = left[self._file.write(left) :]
        self.size += size

    def _catch_up(self) -> None:
        self._settled()
        start, self._hashed = self._hashed, self.size
        self._behind = self._pool.submit(self._hash, start, self.size)

    def _settled(self) -> None:
        if self._behind is not None:
            self._behind.result()

    def _hash(self, start: int, stop: int) -> None:
        buffer = memoryview(bytearray(min(BLOCK, stop - start)))
        while start < stop:
            read = os.preadv(self._file.fileno(), [buffer[: stop - start]], start)
            self._sha256.update(buffer[:read])
            start += read
