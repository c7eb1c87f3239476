"""The way of a dataset through the gate: each split read and checked, counted, compared, and divided into files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from azft.domain.checks import Checks
from azft.domain.data import DataFile, DataSettings
from azft.domain.findings import Finding
from azft.domain.rows import BadRow, Chunk, Fault, Part, read_all
from azft.domain.tokens import TokenStatistics
from azft.gate.bad import BadRows
from azft.gate.checking import Checker, Policy
from azft.gate.choosing import chosen
from azft.gate.converting import EXAMINED, Choice
from azft.gate.counting import Counting, count
from azft.gate.dividing import Flags, cuts, divide, moved, nothing
from azft.gate.prefetch import prefetched
from azft.gate.spool import Spool
from azft.gate.twins import Twin, twins
from azft.progress import Steps
from azft.rules.sampling import share

TRAIN, TEST = "train", "test"
_SAID = {
    "AZFT-R101": ("the same conversation as", "keep one of them"),
    "AZFT-R102": ("the same conversation, but for case and spaces, as", "keep one of them"),
    "AZFT-R103": ("its prompt is in the test split too:", "take it out of one of the two"),
}


class Gate:
    """Takes the rows of a train split, and of a test split where there is one, to the files of a prepared dataset."""

    def __init__(
        self,
        settings: DataSettings,
        choice: Choice,
        counting: Counting,
        *,
        bad: BadRows,
        steps: Steps,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        self._settings = settings
        self._choice = choice
        self._columns = columns or {}
        self._counting = counting
        self._bad = bad
        self._steps = steps
        self._policy = Policy(settings.on_bad, frozenset(settings.accept))
        self._read = 0
        self._whole: Collection[str] = ()
        self._ignored: Counter[str] = Counter()
        self._findings: list[Finding] = []
        self.tokens: TokenStatistics | None = None
        self.revision = ""

    @property
    def refused(self) -> int:
        """Rows for which the data is refused."""
        return self._bad.actions["refused"]

    @property
    def checks(self) -> Checks:
        """What was found so far."""
        codes, actions = dict(sorted(self._bad.codes.items())), dict(self._bad.actions)
        return Checks(self._read, codes, actions, dict(self._ignored), tuple(self._findings))

    def check(self, splits: Mapping[str, Sequence[Part]], work: Path) -> list[tuple[Spool, Flags]]:
        """Read, check, count and compare everything; return the rows of each split, and which of them are kept."""
        # A split that nothing is cut from is written once, and needs its digest then.
        self._whole = {TEST} if TEST not in splits or self._settings.validation else {TRAIN, TEST}
        spools = [self._checked(split, parts, work) for split, parts in splits.items()]
        kept = [np.ones(spool.rows, bool) for spool in spools]
        for spool, flags in zip(spools, kept, strict=True):
            self._count(spool, flags)
        self._steps.stage("compare rows")
        for twin in sorted(twins(spools), key=lambda found: (found.side, found.row)):
            self._judge(spools, kept, twin)
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

    def _checked(self, split: str, parts: Sequence[Part], work: Path) -> Spool:
        taken, wanted, rows = chosen(parts, self._settings)
        self.revision = next((part.revision for part in taken), "")
        self._same_columns(split, taken)
        self._steps.stage(f"check {split}", rows)
        reads = () if self._settings.keep or self._columns else self._choice.converter.reads
        chunks = read_all(taken, wanted, reads)
        checker = Checker(
            split,
            self._choice.converter.convert,
            self._bad,
            columns=self._columns,
            policy=self._policy,
            keep=self._settings.keep,
        )
        spool = checker.run(self._watched(prefetched(chunks)), work, final=split in self._whole)
        self._read += checker.read
        self._ignored += checker.ignored
        return spool

    def _watched(self, chunks: Iterable[Chunk]) -> Iterator[Chunk]:
        for chunk in chunks:
            yield chunk
            self._steps.advance(len(chunk.numbers))

    def _same_columns(self, split: str, parts: Sequence[Part]) -> None:
        """Say which files of a split have other columns than the first."""
        columns = {part.file: part.columns for part in parts if part.columns}
        first = next(iter(columns.items()), ("", ()))
        for file, names in columns.items():
            if set(names) != set(first[1]):
                found = f"its columns are {', '.join(names)}; those of {first[0]} are {', '.join(first[1])}"
                self._findings.append(Finding("AZFT-D007", "warning", f"{split}: {file}", found, fix="look at both"))

    def _count(self, spool: Spool, kept: Flags) -> None:
        if not spool.rows:
            return
        self._steps.stage(f"count tokens of {spool.split}")
        statistics, nothing_left = count(spool, self._counting, self._steps.advance)
        if spool.split == TRAIN:
            self.tokens = statistics
        for row in nothing_left:
            said = f"nothing is left to learn of it within {self._counting.limit:,} tokens"
            fault = Fault("AZFT-R104", said, "raise max_seq_length, or shorten the question")
            self._leave_out(spool, kept, row, fault)

    def _judge(self, spools: Sequence[Spool], kept: Sequence[Flags], twin: Twin) -> None:
        spool = spools[twin.side]
        if not kept[twin.side][twin.row]:
            return
        other = spools[twin.other_side]
        file, line = other.place(twin.other)
        said, fix = _SAID[twin.code]
        fault = Fault(twin.code, f"{said} {file}, {other.unit} {line}", fix)
        self._leave_out(spool, kept[twin.side], twin.row, fault)

    def _leave_out(self, spool: Spool, kept: Flags, row: int, fault: Fault) -> None:
        file, line = spool.place(row)
        accepted = fault.code in self._policy.accept
        self._bad.add(
            BadRow(
                file,
                line,
                fault.reason,
                fault.code,
                fault.fix,
                spool.unit,
                spool.split,
                "kept" if accepted else self._policy.action,
                orjson.loads(spool.line(row)),
            )
        )
        if not accepted:
            kept[row] = False


def examined(parts: Sequence[Part], rows: int = EXAMINED) -> list[Any]:
    """Return the first rows of a source, without those that cannot be read."""
    values = (
        value
        for part in parts
        for chunk in part.read(None)
        for _numbers, some in chunk.pieces(EXAMINED)
        for value in some
    )
    return [value for value in islice(values, rows) if not isinstance(value, BadRow)]
