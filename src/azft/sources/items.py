"""Rows of a JSON file that is one list of objects, one at a time, with the line each begins on."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from azft.domain.rows import LONGEST, BadRow, Chunk, Part, Wanted, only
from azft.files import BLOCK
from azft.sources.grouping import together
from azft.sources.opening import BOM, content_of, opened
from azft.sources.parsing import NOT_JSON, refuse

_SPACE = re.compile(r"[ \t\n\r]*")


def items_part(path: Path) -> Part:
    """Return the file as one part."""
    return Part(str(path), partial(_read, path), partial(_count, path), content=partial(content_of, path))


def _count(path: Path) -> int:
    return sum(1 for _item in _items(path))


def _read(path: Path, wanted: Wanted | None, _columns: tuple[str, ...] = ()) -> Iterator[Chunk]:
    yield from together(str(path), only(_items(path), wanted))


def _items(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield (line, value); what cannot be read is a last `BadRow`, as nothing after it can be told apart."""
    scan = _Scan(path)
    try:
        yield from scan.items()
    except ValueError as error:
        said = error.msg.lower() if isinstance(error, json.JSONDecodeError) else str(error)
        said = said if isinstance(error, _BrokenError) else f"not JSON: {said}"
        code = "AZFT-R002" if isinstance(error, UnicodeDecodeError) else NOT_JSON
        yield scan.line, BadRow(str(path), scan.line, said, code, "a list of objects; one object per line is .jsonl")


class _BrokenError(ValueError):
    """The file is not a list of objects."""


class _Scan:
    """A window of the file's text that moves from item to item."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._text = ""
        self._at = 0
        self._more: Iterator[str] = iter(())
        self.line = 1
        self._decode = json.JSONDecoder(parse_constant=refuse)

    def items(self) -> Iterator[tuple[int, Any]]:
        with opened(self._path) as stream:
            decoder = codecs.getincrementaldecoder("utf-8")()
            first = stream.read(BLOCK).removeprefix(BOM)
            self._text = decoder.decode(first)
            self._more = map(decoder.decode, iter(lambda: stream.read(BLOCK), b""))
            if self._next() != "[":
                raise _BrokenError("expected a list of objects")
            self._at += 1
            if self._next() == "]":
                return
            while True:
                self._next()
                line = self.line
                yield line, self._value()
                mark = self._next()
                self._at += 1
                if mark == "]":
                    return
                if mark != ",":
                    raise _BrokenError(f"not JSON: expected ',' or ']' after an item, found {mark[:20]!r}")

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
            self._at = end
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
