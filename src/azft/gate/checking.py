"""One pass over the rows of a split: every row is judged, and goes on with its record, or is a bad row."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain
from typing import Any, Protocol

import orjson
from attrs import define, evolve, field

from azft.domain.rows import LONGEST, BadRow, Chunk, Fault
from azft.gate.batch import Batch, all_at_once, line_of
from azft.gate.judging import RowJudge, Verdict
from azft.rules.chat import fault_of
from azft.rules.preferences import MARKED

TOGETHER = 50
"""Rows checked at once: their text fits into a core's cache."""
SPECIAL = MARKED | {"tools", "functions"}
"""Columns that ask for a closer look at the row that has them."""


class TakesRows(Protocol):
    """Takes the good rows of one file after the other."""

    def take(self, rows: Batch, file: str) -> None:
        """Take rows of one file."""
        ...


class TakesBadRows(Protocol):
    """Takes rows that cannot be used."""

    def add(self, row: BadRow) -> None:
        """Take one."""
        ...


@define
class Tally:
    """What was seen of a split: rows, fields of messages that nothing is made of, columns, and what a number counts."""

    read: int = 0
    ignored: Counter[str] = field(factory=Counter)
    columns: dict[str, None] = field(factory=dict)
    unit: str = "line"

    def add(self, other: Tally) -> None:
        """Count what was seen elsewhere too."""
        self.read += other.read
        self.ignored += other.ignored
        self.columns.update(other.columns)
        self.unit = other.unit


class Checker:
    """Checks the rows of one split; `keep` keeps the other columns beside the messages."""

    def __init__(self, split: str, judge: RowJudge, out: TakesRows, rejects: TakesBadRows, *, keep: bool) -> None:
        self.tally = Tally()
        self._split = split
        self._judge = judge
        self._out = out
        self._rejects = rejects
        self._keep = keep
        self._suited: dict[tuple[str, ...], bool] = {}

    def take(self, chunk: Chunk) -> None:
        """Check rows; good ones go on in their order."""
        self.tally.unit = chunk.unit
        self.tally.read += len(chunk.numbers)
        for numbers, values in chunk.pieces(TOGETHER):
            rows = self._all_at_once(numbers, values) or self._one_by_one(chunk, numbers, values)
            self._out.take(rows, chunk.file)

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
            self.tally.columns.update(names)
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
                self.tally.columns.update(dict.fromkeys(map(str, value)))
            verdict = self._judge.judge(value)
            if verdict.messages is None:
                self._refuse(verdict, chunk, number, value)
                continue
            try:
                line = line_of(value, verdict.messages, verdict.tools, keep=self._keep, made=verdict.row)
            except (TypeError, orjson.JSONEncodeError) as error:
                messages = None if verdict.row else verdict.messages
                self._refuse(self._dropped(_unwritable(messages, error)), chunk, number, value)
                continue
            if len(line) > LONGEST:
                fault = Fault("AZFT-R014", f"longer than {LONGEST >> 20} MiB", "split it, or leave it out")
                self._refuse(self._dropped(fault), chunk, number, value)
                continue
            if verdict.fault is not None:
                self._refuse(verdict, chunk, number, value)
            self.tally.ignored.update(verdict.ignored)
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
    found = None if messages is None else fault_of(messages)
    return found or Fault("AZFT-R006", f"another column cannot be written as JSON: {error}", "leave keep= out")
