"""One pass over one split: every row is converted, checked, and written with a record, or is a bad row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve, frozen

from azft.domain.rows import LONGEST, BadRow, Chunk, Fault
from azft.gate.bad import BadRows
from azft.gate.converting import judged
from azft.gate.outlet import Outlet
from azft.gate.spool import Spool
from azft.gate.taken import Convert, Recorder, Taken, all_at_once, line_of
from azft.rules.chat import fault_of
from azft.rules.repair import repaired

TOGETHER = 50
"""Rows checked at once: their text fits into a core's cache."""


@frozen
class Policy:
    """What becomes of bad rows: "raise", "drop" or "fix"; rows whose only fault is in `accept` go through."""

    on_bad: str = "raise"
    accept: frozenset[str] = frozenset()

    @property
    def action(self) -> str:
        """What is said of a row that cannot go through."""
        return "refused" if self.on_bad == "raise" else "dropped"


class Checker:
    """Checks the rows of one split; `keep` keeps the other columns beside the messages."""

    def __init__(
        self,
        split: str,
        convert: Convert,
        bad: BadRows,
        *,
        columns: Mapping[str, str] | None = None,
        policy: Policy | None = None,
        keep: bool = False,
    ) -> None:
        self.read = 0
        self.ignored: Counter[str] = Counter()
        self._split = split
        self._convert = convert
        self._bad = bad
        self._columns = columns or {}
        self._policy = policy or Policy()
        self._keep = keep
        self._files: dict[str, int] = {}
        self._unit = "line"

    def run(self, chunks: Iterable[Chunk], folder: Path, *, final: bool) -> Spool:
        """Check everything and return the rows that went through; `final` says that their lines are a file already."""
        lines, index = folder / f"{self._split}.lines", folder / f"{self._split}.index"
        with Outlet(lines, final=final) as out, index.open("wb") as records:
            recorder = Recorder(records)
            for chunk in chunks:
                self._take(chunk, out, recorder)
            recorder.flush()
        return Spool(self._split, lines, index, out.rows, tuple(self._files), self._unit, out.sha256)

    def _take(self, chunk: Chunk, out: Outlet, recorder: Recorder) -> None:
        self._unit = chunk.unit
        self.read += len(chunk.numbers)
        file = self._files.setdefault(chunk.file, len(self._files))
        for numbers, values in chunk.pieces(TOGETHER):
            taken = None if self._columns else all_at_once(self._convert, values, numbers, keep=self._keep)
            taken = taken or self._one_by_one(chunk, numbers, values)
            recorder.take(taken, file)
            out.write(taken.lines)

    def _one_by_one(self, chunk: Chunk, numbers: Sequence[int], values: Sequence[Any]) -> Taken:
        taken = Taken()
        for number, value in zip(numbers, values, strict=True):
            messages = self._checked(value, chunk, number)
            if messages is None:
                continue
            try:
                line = line_of(value, messages, keep=self._keep)
            except (TypeError, orjson.JSONEncodeError) as error:
                self._refuse(_unwritable(messages, error), chunk, number, value)
                continue
            if len(line) > LONGEST:
                fault = Fault("AZFT-R014", f"longer than {LONGEST >> 20} MiB", "split it, or leave it out")
                self._refuse(fault, chunk, number, value)
                continue
            taken.add(line, messages, number)
        return taken

    def _trimmed(self, messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Return the messages with role and content alone; what else they hold is counted."""
        for message in messages:
            self.ignored.update(
                name for name, value in message.items() if value is not None and name not in ("role", "content")
            )
        return [{"role": message["role"], "content": message["content"]} for message in messages]

    def _checked(self, value: Any, chunk: Chunk, number: int) -> list[dict[str, Any]] | None:
        """Return the messages, mended or let through if that is the policy; None for a row that cannot go through."""
        if isinstance(value, BadRow):
            self._bad.add(evolve(value, split=self._split, action=self._policy.action))
            return None
        messages, fault = judged(self._convert, value, self._columns)
        if fault is None:
            return self._trimmed(messages)
        if fault.code in self._policy.accept:
            self._refuse(fault, chunk, number, value, action="kept")
            return self._trimmed(messages)
        mended = repaired(messages) if self._policy.on_bad == "fix" and messages is not None else None
        if mended is None:
            self._refuse(fault, chunk, number, value)
            return None
        self._refuse(evolve(fault, fix=mended[1]), chunk, number, value, action="repaired")
        return self._trimmed(mended[0])

    def _refuse(self, fault: Fault, chunk: Chunk, number: int, value: Any, action: str = "") -> None:
        action = action or self._policy.action
        refused = BadRow(chunk.file, number, fault.reason, fault.code, fault.fix, chunk.unit, self._split, action)
        self._bad.add(evolve(refused, original=value))


def _unwritable(messages: Any, error: Exception) -> Fault:
    """Return what keeps a row from being written: half a surrogate pair, or a column of a type JSON has not."""
    found = fault_of(messages)
    return found or Fault("AZFT-R006", f"another column cannot be written as JSON: {error}", "leave keep= out")
