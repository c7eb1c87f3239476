"""Rows of a JSON file that is one list of objects, one at a time, with the line each begins on."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from azft.domain.rows import LONGEST, BadRow, Chunk, Wanted, only
from azft.files import BLOCK
from azft.rules.text import was_not_utf8
from azft.sources.encoding import transcoded
from azft.sources.grouping import counted_whole, together
from azft.sources.opening import BOM, opened
from azft.sources.parsing import NOT_JSON, refuse

_SPACE = re.compile(r"[ \t\n\r]*")


def count(path: Path, codec: str) -> int:
    """Return the number of items; `DatasetError` where the file cannot be read to its end."""
    return counted_whole(str(path), _items(path, codec))


def read(path: Path, codec: str, wanted: Wanted | None, _columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    """Yield the wanted items, or all of them, in chunks."""
    yield from together(str(path), only(_items(path, codec), wanted))


def _items(path: Path, codec: str) -> Iterator[tuple[int, Any]]:
    """Yield (line, value); what cannot be read is a last `BadRow`, as nothing after it can be told apart."""
    scan = _Scan(path, codec)
    with opened(path) as raw:
        try:
            yield from scan.items(transcoded(raw, codec, path))
        except ValueError as error:
            said = error.msg.lower() if isinstance(error, json.JSONDecodeError) else str(error)
            said = said if isinstance(error, _BrokenError) else f"not JSON: {said}"
            fix = "a list of objects; one object per line is .jsonl"
            unread = f"{scan.behind():,} bytes"
            yield scan.line, BadRow(str(path), scan.line, said, NOT_JSON, fix, unread=unread)


class _BrokenError(ValueError):
    """The file is not a list of objects."""


class _Scan:
    """A window of the file's text that moves from item to item."""

    def __init__(self, path: Path, codec: str) -> None:
        self._path = path
        self._codec = codec
        self._text = ""
        self._at = self._began = 0
        self._more: Iterator[str] = iter(())
        self.line = 1
        self._decode = json.JSONDecoder(parse_constant=refuse)

    def items(self, stream: BinaryIO) -> Iterator[tuple[int, Any]]:
        """Yield (line, value) of a list, or of values one after the other."""
        # Bytes that are no UTF-8 come through as surrogates, so that the rows around them can be read.
        decoder = codecs.getincrementaldecoder("utf-8")("surrogateescape")
        self._text = decoder.decode(stream.read(BLOCK).removeprefix(BOM))
        self._more = map(decoder.decode, iter(lambda: stream.read(BLOCK), b""))
        if self._next() == "{":
            while self._next():
                line = self.line
                yield line, self._text_checked(line)
            return
        if self._next() != "[":
            raise _BrokenError("expected a list of objects")
        self._at += 1
        if self._next() == "]":
            return
        while True:
            self._next()
            line = self.line
            yield line, self._text_checked(line)
            mark = self._next()
            self._at += 1
            if mark == "]":
                self._ended()
                return
            if mark != ",":
                self._at -= bool(mark)
                raise _BrokenError(f"not JSON: expected ',' or ']' after an item, found {mark[:20]!r}")

    def _text_checked(self, line: int) -> Any:
        """Return the next value, or a `BadRow` for one with bytes that are no UTF-8."""
        value = self._value()
        written = self._text[self._began : self._at]
        if not was_not_utf8(written):
            return value
        said = f"not valid UTF-8: byte 0x{ord(next(filter(was_not_utf8, written))) - 0xDC00:02x}"
        original = written.encode("utf-8", "surrogateescape")
        return BadRow(str(self._path), line, said, "AZFT-R002", "save the file as UTF-8", original=original)

    def behind(self) -> int:
        """Return how many bytes lie behind the window's place."""
        rest = (self._text[self._at :], *self._more)
        return sum(len(text.encode("utf-8", "surrogateescape")) for text in rest)

    def _ended(self) -> None:
        if self._next():
            raise _BrokenError("not JSON: something stands behind the list")

    def _next(self) -> str:
        """Move to the next character that is no space and return it, empty at the end."""
        while True:
            end = _SPACE.match(self._text, self._at).end()  # type: ignore[union-attr]
            self.line += self._text.count("\n", self._at, end)
            self._at = end
            if end < len(self._text) or not self._grow():
                return self._text[end : end + 1]

    def _value(self) -> Any:
        while True:
            try:
                value, end = self._decode.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if len(self._text) - self._at > LONGEST:
                    raise _BrokenError(f"no whole item within {LONGEST >> 20} MiB") from None
                if not self._grow():
                    raise
                continue
            except RecursionError:
                raise _BrokenError("not JSON that can be read: nested too deeply") from None
            # A number at the window's end may go on behind it.
            if end == len(self._text) and self._grow():
                continue
            self.line += self._text.count("\n", self._at, end)
            self._began, self._at = self._at, end
            return value

    def _grow(self) -> bool:
        """Read on, at least doubling what is kept, so that a long item is not parsed once a block."""
        kept = [self._text[self._at :]]
        wanted = max(len(kept[0]), BLOCK)
        while wanted > 0 and (more := next(self._more, None)) is not None:
            kept.append(more)
            wanted -= len(more)
        self._text, self._at = "".join(kept), 0
        return len(kept) > 1
