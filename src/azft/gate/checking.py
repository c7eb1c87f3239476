"""One pass over one split: every row is judged, and written with a record, or is a bad row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve

from azft.domain.rows import LONGEST, BadRow, Chunk, Fault
from azft.gate.batch import Batch, Recorder, all_at_once, line_of
from azft.gate.judging import RowJudge, Verdict
from azft.gate.rejects import Rejects
from azft.gate.spool import Spool
from azft.gate.writer import LineWriter
from azft.rules.chat import fault_of
from azft.rules.preferences import MARKED

TOGETHER = 50
"""Rows checked at once: their text fits into a core's cache."""
SPECIAL = MARKED | {"tools", "functions"}
"""Columns that ask for a closer look at the row that has them."""


class Checker:
    """Checks the rows of one split; `keep` keeps the other columns beside the messages."""

    def __init__(self, split: str, judge: RowJudge, rejects: Rejects, *, keep: bool = False) -> None:
        self.read = 0
        self.ignored: Counter[str] = Counter()
        self.columns: dict[str, None] = {}
        self._split = split
        self._judge = judge
        self._rejects = rejects
        self._keep = keep
        self._files: dict[str, int] = {}
        self._unit = "line"
        self._suited: dict[tuple[str, ...], bool] = {}

    def run(self, chunks: Iterable[Chunk], folder: Path, *, final: bool) -> Spool:
        """Check everything and return the rows that went through; `final` says that their lines are a file already."""
        lines, index = folder / f"{self._split}.lines", folder / f"{self._split}.index"
        with LineWriter(lines, final=final) as out, index.open("wb") as records:
            recorder = Recorder(records)
            for chunk in chunks:
                self._take(chunk, out, recorder)
            recorder.flush()
        return Spool(self._split, lines, index, out.rows, tuple(self._files), self._unit, out.sha256)

    def _take(self, chunk: Chunk, out: LineWriter, recorder: Recorder) -> None:
        self._unit = chunk.unit
        self.read += len(chunk.numbers)
        file = self._files.setdefault(chunk.file, len(self._files))
        for numbers, values in chunk.pieces(TOGETHER):
            taken = self._all_at_once(numbers, values) or self._one_by_one(chunk, numbers, values)
            recorder.take(taken, file)
            out.write(taken.lines)

    def _all_at_once(self, numbers: Sequence[int], values: Sequence[Any]) -> Batch | None:
        """Return the rows if every one is good as it is; None where one of them needs a closer look."""
        quick = self._judge.converter.quick
        if quick is None:
            return None
        try:
            names = dict.fromkeys(chain.from_iterable(values))
        except TypeError:
            return None
        if not SPECIAL.isdisjoint(names) or not self._suits(tuple(names)):
            return None
        taken = all_at_once(quick, values, numbers, keep=self._keep, passes=self._judge.template.passes)
        if taken is not None:
            self.columns.update(names)
        return taken

    def _suits(self, names: tuple[str, ...]) -> bool:
        """Return whether rows of these columns are for the first converter; asked once for each set of them."""
        if names not in self._suited:
            self._suited[names] = self._judge.converter.suits(names)
        return self._suited[names]

    def _one_by_one(self, chunk: Chunk, numbers: Sequence[int], values: Sequence[Any]) -> Batch:
        taken = Batch()
        for number, value in zip(numbers, values, strict=True):
            if isinstance(value, dict):
                self.columns.update(dict.fromkeys(map(str, value)))
            verdict = self._judge.judge(value)
            if verdict.messages is None:
                self._refuse(verdict, chunk, number, value)
                continue
            try:
                line = line_of(value, verdict.messages, verdict.tools, keep=self._keep)
            except (TypeError, orjson.JSONEncodeError) as error:
                self._refuse(self._dropped(_unwritable(verdict.messages, error)), chunk, number, value)
                continue
            if len(line) > LONGEST:
                fault = Fault("AZFT-R014", f"longer than {LONGEST >> 20} MiB", "split it, or leave it out")
                self._refuse(self._dropped(fault), chunk, number, value)
                continue
            if verdict.fault is not None:
                self._refuse(verdict, chunk, number, value)
            self.ignored.update(verdict.ignored)
            taken.add(line, verdict.messages, number)
        return taken

    def _dropped(self, fault: Fault) -> Verdict:
        return Verdict(None, fault=fault, action=self._judge.policy.action(fault.code))

    def _refuse(self, verdict: Verdict, chunk: Chunk, number: int, value: Any) -> None:
        if isinstance(value, BadRow):
            self._rejects.add(evolve(value, split=self._split, action=verdict.action or "refused"))
            return
        fault, action = verdict.fault, verdict.action
        if fault is not None and action is not None:
            refused = BadRow(chunk.file, number, fault.reason, fault.code, fault.fix, chunk.unit, self._split, action)
            self._rejects.add(evolve(refused, original=value))


def _unwritable(messages: Any, error: Exception) -> Fault:
    """Return what keeps a row from being written: half a surrogate pair, or a column of a type JSON has not."""
    found = fault_of(messages)
    return found or Fault("AZFT-R006", f"another column cannot be written as JSON: {error}", "leave keep= out")
