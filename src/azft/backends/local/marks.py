"""The marks of a thing on this machine: a small file beside it, for whoever made it and how to find it again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import orjson

from azft.files import write_whole

MARKS = "marks.json"


def write_marks(folder: Path, tags: Mapping[str, str]) -> None:
    """Keep the tags in the folder."""
    write_whole(folder / MARKS, orjson.dumps(dict(tags)))


def read_marks(folder: Path) -> dict[str, str]:
    """Return the folder's tags, none where it has none that can be read."""
    try:
        found = orjson.loads((folder / MARKS).read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}
