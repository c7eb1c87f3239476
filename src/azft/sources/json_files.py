"""A file of JSON as a part: one value on each line, or one list of objects, as its first bytes say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import orjson

from azft.domain.rows import Part
from azft.files import BLOCK
from azft.sources import items, lines
from azft.sources.encoding import encoding_of, transcoded
from azft.sources.opening import BOM, content_of, opened


def json_part(path: Path, *, by_line: bool) -> Part:
    """Return the file as one part; `by_line` is what its name says, and its first line may show otherwise."""
    codec, note = encoding_of(path)
    with opened(path) as raw:
        head = transcoded(raw, codec, path).read(BLOCK).removeprefix(BOM).lstrip()
    form = lines if (not _is_a_list(head) if by_line else _holds_lines(head)) else items
    return Part(
        str(path),
        partial(form.read, path, codec),
        partial(form.count, path, codec),
        content=partial(content_of, path),
        notes=(note,) if note else (),
        size=path.stat().st_size,
    )


def _holds_lines(head: bytes) -> bool:
    """Return whether there is one object on each line, as the first line shows; an empty file has none."""
    if head[:1] != b"{":
        return not head
    try:
        return isinstance(orjson.loads(head.partition(b"\n")[0]), dict)
    except orjson.JSONDecodeError:
        return False


def _is_a_list(head: bytes) -> bool:
    """Return whether it is one list of objects over several lines."""
    if head[:1] != b"[":
        return False
    first, _end, rest = head.partition(b"\n")
    try:
        return isinstance(orjson.loads(first), list) and not rest.strip()
    except orjson.JSONDecodeError:
        return True
