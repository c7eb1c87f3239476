"""Where bad rows go: all of them to a report on disk, the first ones also to memory."""

from __future__ import annotations

import base64
import json
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson
from attrs import evolve

from azft.domain.rows import BadRow

HELD = 1_000
"""Bad rows kept in memory; the report has all."""
EXCERPT = 120


class BadRows:
    """Collects bad rows: `report` has a line for each, `rejects` the originals of those dropped or changed."""

    def __init__(self, report: Path, rejects: Path) -> None:
        self._paths = (report, rejects)
        self._report: BinaryIO
        self._rejects: BinaryIO
        self.held: list[BadRow] = []
        self.codes: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()

    def __enter__(self) -> BadRows:
        self._report, self._rejects = (path.open("wb") for path in self._paths)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._report.close()
        self._rejects.close()

    def __len__(self) -> int:
        return self.codes.total()

    def add(self, row: BadRow) -> None:
        """Write the row down; its original is not held in memory."""
        self.codes[row.code] += 1
        self.actions[row.action] += 1
        entry = {
            "file": row.file,
            row.unit: row.line,
            "split": row.split,
            "code": row.code,
            "reason": row.reason,
            "fix": row.fix,
            "action": row.action,
        }
        self._report.write(_line({**entry, "excerpt": excerpt(row.original)}))
        if row.action in ("dropped", "repaired"):
            self._rejects.write(_line({**entry, **_original(row.original)}))
        if len(self.held) < HELD:
            self.held.append(evolve(row, original=excerpt(row.original)))


def excerpt(original: Any) -> str:
    """Return the beginning of a row as text on one line."""
    if isinstance(original, bytes):
        text = original[: 4 * EXCERPT].decode(errors="replace")
    else:
        text = "" if original is None else original if isinstance(original, str) else _readable(original)
    flat = "".join(character if character.isprintable() else " " for character in text[: EXCERPT + 1])
    return flat if len(flat) <= EXCERPT else f"{flat[: EXCERPT - 3]}..."


def _readable(value: Any) -> str:
    return json.dumps(value, default=repr, ensure_ascii=False)


def _original(original: Any) -> dict[str, Any]:
    """Return the row for the reject file: bytes that are no text as base64, text that is none as escaped JSON."""
    if not isinstance(original, bytes):
        try:
            orjson.dumps(original, default=repr, option=orjson.OPT_NON_STR_KEYS)
        except (TypeError, orjson.JSONEncodeError):
            return {"text": json.dumps(original, default=repr)}
        return {"row": original}
    try:
        return {"text": original.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(original).decode()}


def _line(value: Any) -> bytes:
    return orjson.dumps(value, default=repr, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS)
