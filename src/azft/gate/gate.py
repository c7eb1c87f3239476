"""The way of a dataset through the gate: each split read and judged, compared, counted, and divided into files."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import orjson

from azft.domain.checks import Checks
from azft.domain.data import DUPLICATES, DataFile, DataSettings
from azft.domain.findings import Finding
from azft.domain.row_formats import RowFormat
from azft.domain.rows import Action, BadRow, Fault, Part
from azft.domain.tokens import TokenStatistics
from azft.gate.checking import Tally
from azft.gate.columns import left_out
from azft.gate.duplicates import Duplicate, find_duplicates
from azft.gate.judging import RowJudge
from azft.gate.labels import faults_of_labels
from azft.gate.one_pass import OnePass, Selection
from azft.gate.reading import TEST, TRAIN, Reading
from azft.gate.rejects import Rejects
from azft.gate.sampling import chosen
from azft.gate.splitting import Flags, cuts, divide, moved, nothing
from azft.gate.spool import Spool
from azft.gate.token_counts import Counting, count
from azft.progress import Steps
from azft.rules.data_findings import columns_left_out, left_out_rows, unread
from azft.rules.row_checks import as_talk
from azft.rules.sampling import share
from azft.rules.words import counted, trained_on

_SAID = {
    "AZFT-R101": ("the same {noun} as", "keep one of them"),
    "AZFT-R102": ("the same {noun}, but for case and spaces, as", "keep one of them"),
    "AZFT-R103": ("its prompt is in the test split too:", "take it out of one of the two"),
}


class Gate:
    """Takes the rows of a train split, and of a test split where there is one, to the files of a prepared dataset."""

    def __init__(
        self,
        settings: DataSettings,
        reading: Reading,
        judge: RowJudge,
        counting: Counting,
        *,
        rejects: Rejects,
        steps: Steps,
        workers: int | None = None,
    ) -> None:
        self._settings = settings
        self._reading = reading
        self._judge = judge
        self._counting = counting
        self._rejects = rejects
        self._steps = steps
        self._workers = workers
        self._whole: Collection[str] = ()
        self._seen = Tally()
        self._findings: list[Finding] = list(reading.notes)
        self._trained_on: Flags | None = None
        self.tokens: TokenStatistics | None = None
        self.revision = ""

    @property
    def _rows(self) -> RowFormat:
        return self._judge.converter.rows

    @property
    def checks(self) -> Checks:
        """What was found so far."""
        found = self._rejects
        return Checks(
            self._seen.read,
            dict(sorted(found.codes.items())),
            dict(found.actions),
            dict(self._seen.ignored),
            tuple(dict.fromkeys((*self._findings, *self._about_rows()))),
            dict(sorted(found.duplicates.items())),
            dict(found.unread),
        )

    def check(self, work: Path) -> list[tuple[Spool, Flags]]:
        """Read, judge, compare and count everything; return the rows of each split, and which of them are kept."""
        splits = self._reading.splits
        # A split that nothing is cut from is written once, and needs its digest then.
        self._whole = {TEST} if TEST not in splits or self._settings.validation else {TRAIN, TEST}
        selections = [self._selected(split, parts) for split, parts in splits.items()]
        one_pass = OnePass(
            selections,
            self._judge,
            self._rejects,
            keep=self._settings.keep,
            steps=self._steps,
            folder=work,
            workers=self._workers,
        )
        with one_pass:
            spools = [self._checked(one_pass, selection) for selection in selections]
        kept = [np.ones(spool.rows, bool) for spool in spools]
        self._steps.stage("compare rows")
        rows = self._rows
        found = find_duplicates(spools) if rows.chats else find_duplicates(spools, partial(as_talk, rows))
        for duplicate in sorted(found.duplicates, key=lambda entry: (entry.side, entry.row)):
            self._repeated(spools, kept, duplicate)
        if found.on_both and self._action("AZFT-R103") == "kept":
            self._trained_on = np.zeros(spools[1].rows, bool)
            self._trained_on[list(found.on_both)] = True
        if rows.classes:
            self._steps.stage("compare labels")
            for side, row, fault in faults_of_labels(rows.classes, spools, kept):
                self._leave_out(spools[side], kept[side], row, fault)
        for spool, flags in zip(spools, kept, strict=True):
            self._count(spool, flags)
        return list(zip(spools, kept, strict=True))

    def divide(self, sides: Sequence[tuple[Spool, Flags]], folder: Path) -> dict[str, DataFile]:
        """Write train, validation and test files; whole prompts go to one side each."""
        (train, kept), *test = sides
        settings = self._settings
        rows = int(kept.sum())
        wanted = {} if test else {TEST: share(rows, settings.test)}
        wanted["validation"] = share(rows - sum(wanted.values()), settings.validation)
        self._steps.stage("write files", train.rows)
        files = {}
        for spool, flags in test:
            files.update({TEST: moved(spool, TEST, folder)} if flags.all() else divide(spool, flags, folder, TEST))
        parts = cuts(train, kept, wanted, settings.seed)
        self._findings += [
            Finding(
                "AZFT-D009",
                "warning",
                part.name,
                f"{part.rows:,} rows, as the rows of one prompt stay together",
                f"{part.wanted:,} rows",
                "fewer repeated prompts, or another share",
            )
            for part in parts
            if part.rows != part.wanted
        ]
        if train.sha256 and kept.all() and not any(wanted.values()):
            files = {**files, TRAIN: moved(train, TRAIN, folder), "validation": nothing("validation", folder)}
        else:
            files.update(divide(train, kept, folder, TRAIN, parts, seed=settings.seed))
        return files

    def trained_on(self, sides: Sequence[tuple[Spool, Flags]]) -> tuple[int, ...]:
        """Return the rows of the test file whose prompts are trained on, counted from 0."""
        if self._trained_on is None:
            return ()
        _spool, kept = sides[1]
        return tuple(np.flatnonzero(self._trained_on[kept]).tolist())

    def _selected(self, split: str, parts: Sequence[Part]) -> Selection:
        taken, wanted, rows = chosen(parts, self._settings)
        self.revision = next((part.revision for part in taken), "")
        self._same_columns(split, taken)
        there = self._reading.columns(split)
        self._seen.columns.update(dict.fromkeys(there))
        return Selection(split, taken, wanted, () if self._settings.keep else self._judge.converter.reads(there), rows)

    def _checked(self, one_pass: OnePass, selection: Selection) -> Spool:
        self._steps.stage(f"check {selection.split}", selection.rows)
        spool, seen = one_pass.run(selection, final=selection.split in self._whole)
        self._seen.add(seen)
        return spool

    def _same_columns(self, split: str, parts: Sequence[Part]) -> None:
        """Say which files of a split have other columns than the first."""
        columns = {part.file: part.columns for part in parts if part.columns}
        first = next(iter(columns.items()), ("", ()))
        for file, names in columns.items():
            if set(names) != set(first[1]):
                found = f"its columns are {', '.join(names)}; those of {first[0]} are {', '.join(first[1])}"
                self._findings.append(Finding("AZFT-D007", "warning", f"{split}: {file}", found, fix="look at both"))

    def _count(self, spool: Spool, kept: Flags) -> None:
        if not (kept.any() and self._rows.chats):
            return
        self._steps.stage(f"count tokens of {spool.split}")
        statistics, faults = count(spool, kept, self._counting, self._steps.advance)
        if spool.split == TRAIN:
            self.tokens = statistics
        for row, fault in faults:
            self._leave_out(spool, kept, row, fault)

    def _action(self, code: str) -> Action:
        """Return what becomes of a row that repeats another."""
        if self._settings.duplicates == "keep" or code in self._settings.accept:
            return "kept"
        return "refused" if self._settings.duplicates == "raise" else "dropped"

    def _repeated(self, spools: Sequence[Spool], kept: Sequence[Flags], duplicate: Duplicate) -> None:
        spool = spools[duplicate.side]
        if not kept[duplicate.side][duplicate.row]:
            return
        other = spools[duplicate.other_side]
        file, line = other.place(duplicate.other)
        said, fix = _SAID[duplicate.code]
        said = said.format(noun=self._rows.noun)
        fault = Fault(duplicate.code, f"{said} {file}, {other.unit} {line}", fix)
        self._leave_out(spool, kept[duplicate.side], duplicate.row, fault)

    def _leave_out(self, spool: Spool, kept: Flags, row: int, fault: Fault) -> None:
        file, line = spool.place(row)
        action = self._action(fault.code) if fault.code in DUPLICATES else self._judge.policy.action(fault.code)
        original = orjson.loads(spool.line(row))
        place = (file, line, fault.reason, fault.code, fault.fix, spool.unit, spool.split)
        self._rejects.add(BadRow(*place, action, original))
        if action != "kept":
            kept[row] = False

    def _about_rows(self) -> Iterator[Finding]:
        """Say in a line each what was left out, what repeats, and what was not read."""
        name, found = self._reading.spec.name, self._rejects
        for code, rows in sorted(found.left_out.items()):
            yield left_out_rows(name, code, rows, f"{self._seen.read:,}")
        repeated = sum(rows for code, rows in found.duplicates.items() if code != "AZFT-R103")
        if repeated and self._action("AZFT-R101") != "refused":
            done = self._action("AZFT-R101")
            said = f"{counted(repeated, 'row')} that say what an earlier one says, and were {done}"
            yield Finding(
                "AZFT-D015", "note", name, said, fix='duplicates="drop" or "keep"; duplicates.jsonl lists them'
            )
        if self._trained_on is not None:
            tests = int(self._trained_on.sum())
            said = trained_on(tests)
            yield Finding("AZFT-D016", "warning", name, said, fix='duplicates="drop" leaves them out of the training')
        yield from (unread(file, part) for file, part in found.unread.items())
        if not self._settings.keep:
            lost = left_out(self._judge.converter, self._reading.first, self._seen.columns)
            yield from columns_left_out(name, lost, chats=self._rows.chats)
