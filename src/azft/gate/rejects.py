"""Where bad rows and duplicates go: all of them to reports on disk, the first ones also to memory."""

from __future__ import annotations

import base64
import json
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import orjson
from attrs import evolve

from azft.domain.data import DUPLICATES
from azft.domain.rows import BadRow
from azft.escapes import visible

HELD = 1_000
"""Bad rows kept in memory; the report has all."""
EXCERPT = 120
BAD, REPEATED, ORIGINALS = "bad_rows.jsonl", "duplicates.jsonl", "rejects.jsonl"


class Rejects:
    """Collects bad rows and duplicates in files of a folder; the originals of rows left out or changed have a third."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[str, BinaryIO] = {}
        self._open = ExitStack()
        self.held: list[BadRow] = []
        self.codes: Counter[str] = Counter()
        self.duplicates: Counter[str] = Counter()
        self.actions: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        self.unread: dict[str, str] = {}

    def __enter__(self) -> Rejects:
        for name in (BAD, REPEATED, ORIGINALS):
            self._files[name] = self._open.enter_context((self._folder / name).open("wb"))
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._open.close()

    @property
    def refused(self) -> int:
        """Rows for which the data is refused."""
        return self.actions["refused"]

    def add(self, row: BadRow) -> None:
        """Write the row down; its original is not held in memory."""
        repeated = row.code in DUPLICATES
        (self.duplicates if repeated else self.codes)[row.code] += 1
        self.actions[row.action] += 1
        if row.action == "left out":
            self.left_out[row.code] += 1
        if row.unread:
            self.unread[row.file] = ", ".join(filter(None, (self.unread.get(row.file), row.unread)))
        entry = {
            "file": row.file,
            row.unit: row.line,
            "split": row.split,
            "code": row.code,
            "reason": row.reason,
            "fix": row.fix,
            "action": row.action,
            **({"unread": row.unread} if row.unread else {}),
        }
        self._files[REPEATED if repeated else BAD].write(_line({**entry, "excerpt": excerpt(row.original)}))
        if row.action in ("dropped", "left out", "fixed"):
            self._files[ORIGINALS].write(_line({**entry, **_original(row.original)}))
        if len(self.held) < HELD and row.action == "refused":
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
    """Return a line of JSON; text that cannot be written, such as a column's name of broken bytes, is escaped."""
    option = orjson.OPT_APPEND_NEWLINE | orjson.OPT_NON_STR_KEYS
    try:
        return orjson.dumps(value, default=repr, option=option)
    except (TypeError, orjson.JSONEncodeError):
        return orjson.dumps(
            {name: visible(entry) if isinstance(entry, str) else entry for name, entry in value.items()},
            default=repr,
            option=option,
        )
