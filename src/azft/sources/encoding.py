"""In which encoding a text file is written: as its first bytes say, or as all of them suggest; a guess is said."""

from __future__ import annotations

import codecs
import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from azft.errors import DatasetError
from azft.files import BLOCK
from azft.sources.opening import opened

UTF8 = "utf-8"
HEAD = 4_096
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WIDE = 0.3
"""Share of the bytes at odd or even places that are 0 in a text of two bytes a letter, at least."""
_UNUSED = frozenset(b"\x81\x8d\x8f\x90\x9d")
"""Bytes that mean nothing in Windows' code page 1252."""


def encoding_of(path: Path, *, guess: bool = False) -> tuple[str, str]:
    """Return the codec of a text file, and what is to be said of it, empty for UTF-8.

    Without `guess` only the first bytes are asked, and whatever they do not tell is UTF-8, as JSON is by its standard.
    With it the whole file is: where none of its bytes beyond ASCII is UTF-8, it looks like a code page of one byte a
    letter. A file that is UTF-8 in places is UTF-8, and its other rows are bad.
    """
    with opened(path) as stream:
        head = stream.read(HEAD)
    wide = next((codec for mark, codec in _MARKS if head.startswith(mark)), "") or _two_bytes(head)
    if wide:
        return wide, f"read as {wide.upper()}, as its first bytes say"
    single = _one_byte(path) if guess else ""
    return (single, f"not UTF-8 anywhere; it looks like {single}, and is read so") if single else (UTF8, "")


def transcoded(stream: BinaryIO, codec: str, path: Path) -> BinaryIO:
    """Return the stream as UTF-8; what is UTF-8 already passes as it is."""
    return stream if codec == UTF8 else io.BufferedReader(_Transcoded(stream, codec, path), BLOCK)


def _two_bytes(head: bytes) -> str:
    if len(head) < 4:  # noqa: PLR2004 - two letters
        return ""
    even, odd = head[::2], head[1::2]
    if odd.count(0) >= _WIDE * len(odd) and not even.count(0):
        return "utf-16-le"
    return "utf-16-be" if even.count(0) >= _WIDE * len(even) and not odd.count(0) else ""


def _one_byte(path: Path) -> str:
    """Return the code page that a file looks like in which nothing beyond ASCII is UTF-8; empty for any other file."""
    found: set[int] = set()
    for text in _decoded(path):
        if text.isascii():
            continue
        beyond = {character for character in text if character > "\x7f"}
        if any(not "\udc80" <= character <= "\udcff" for character in beyond):
            return ""
        found |= {ord(character) - 0xDC00 for character in beyond}
    if not found:
        return ""
    return "latin-1" if found & _UNUSED else "cp1252"


def _decoded(path: Path) -> Iterator[str]:
    decoder = codecs.getincrementaldecoder(UTF8)("surrogateescape")
    with opened(path) as stream:
        while block := stream.read(BLOCK):
            yield decoder.decode(block)
    yield decoder.decode(b"", final=True)


class _Transcoded(io.RawIOBase):
    """A stream of text in some encoding, read as UTF-8."""

    def __init__(self, stream: BinaryIO, codec: str, path: Path) -> None:
        super().__init__()
        self._stream = stream
        self._decode: Callable[..., str] = codecs.getincrementaldecoder(codec)().decode
        self._said = f"{path} is read as {codec}, and is not"
        self._rest = b""
        self._ended = False

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: Any, /) -> int:
        """Fill the buffer and return how many bytes it took, 0 at the end."""
        while not self._rest and not self._ended:
            block = self._stream.read(BLOCK)
            self._ended = not block
            try:
                self._rest = self._decode(block, final=self._ended).encode(UTF8, "surrogatepass")
            except UnicodeDecodeError as error:
                raise DatasetError(f"{self._said}: {error.reason}", hint="save the file as UTF-8") from error
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size
