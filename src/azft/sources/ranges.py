"""A remote file that is read by byte ranges, and only where somebody looks."""

from __future__ import annotations

import io
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from azft.errors import DatasetError

TAIL = 1 << 16
"""Bytes fetched first: a Parquet file is read from its end, and most footers are smaller than this."""
TRIES = 4
"""Answers that are cut short before it is given up; errors and lost connections are retried below this."""
_log = logging.getLogger("azft.data")


class RangeFile(io.RawIOBase):
    """A seekable file over HTTP: each read is one request for just these bytes, but for the end, which is kept."""

    def __init__(self, name: str, url: str, size: int, headers: Callable[[], dict[str, str]]) -> None:
        super().__init__()
        self._name = name
        self._url = url
        self._size = size
        self._headers = headers
        self._at = 0
        self._tail = b""

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that any place can be read."""
        return True

    def tell(self) -> int:
        """Return the place where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to a place."""
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def size(self) -> int:
        """Return the file's size in bytes."""
        return self._size

    def read(self, size: int = -1, /) -> bytes:
        """Return `size` bytes, or all to the end."""
        stop = self._size if size < 0 else min(self._size, self._at + size)
        start, self._at = self._at, max(self._at, stop)
        return self._between(start, stop) if stop > start else b""

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer and return how many bytes it took."""
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def _between(self, start: int, stop: int) -> bytes:
        if not self._tail:
            self._tail = self._fetched(max(0, self._size - TAIL), self._size)
        begin = self._size - len(self._tail)
        if start >= begin:
            return self._tail[start - begin : stop - begin]
        return self._fetched(start, stop)

    def _fetched(self, start: int, stop: int) -> bytes:
        """Fetch the range; an answer of another length is asked for again, as a proxy may cut it without a word."""
        from huggingface_hub.utils import hf_raise_for_status, http_backoff

        found = b""
        for again in range(TRIES):
            headers = {**self._headers(), "Range": f"bytes={start}-{stop - 1}"}
            with explained(self._name):
                answer = http_backoff("GET", self._url, headers=headers)
                hf_raise_for_status(answer)
            whole = answer.status_code == 200 and len(answer.content) == self._size  # noqa: PLR2004
            found = answer.content[start:stop] if whole else answer.content
            if len(found) == stop - start:
                return found
            _log.warning("%s answered %d of %d bytes; asked again", self._name, len(found), stop - start)
            time.sleep(0.1 * 2**again)
        raise DatasetError(
            f"{self._name} answered {len(found):,} bytes of the {stop - start:,} asked for, {TRIES} times",
            hint="try again later; nothing half-written was left",
        )


@contextmanager
def explained(name: str) -> Iterator[None]:
    """Translate what the hub's libraries raise: no such dataset, a private one, no network, a server that gave up."""
    import httpx

    try:
        yield
    except (OSError, ValueError, RuntimeError, httpx.HTTPError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        said = str(error).strip().splitlines()
        raise DatasetError(
            f"{name} could not be read: {said[0] if said else type(error).__name__}",
            hint="check the name and the network; offline, use sample://ultrachat or file://",
        ) from error
