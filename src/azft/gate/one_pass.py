"""The one pass over the rows of all splits: in this process, or by worker processes where the data is large."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from types import TracebackType

from attrs import frozen

from azft.domain.rows import Chunk, Part, Wanted, read_all
from azft.gate.checking import Checker, Tally
from azft.gate.judging import RowJudge
from azft.gate.prefetch import prefetched
from azft.gate.rejects import Rejects
from azft.gate.spool import Spool
from azft.gate.spooling import SpoolWriter
from azft.gate.workers.group import Workers, workers_for
from azft.gate.workers.tasks import Task, tasks_of
from azft.progress import Steps


@frozen
class Selection:
    """What is read of a split: its parts, which of their rows (None for all), which columns (none for all)."""

    split: str
    parts: Sequence[Part]
    wanted: Wanted | None
    columns: tuple[str, ...]
    rows: int | None


class OnePass:
    """Reads and judges the rows of each selection in turn; used with `with`, and no worker is left after the block."""

    def __init__(
        self,
        selections: Sequence[Selection],
        judge: RowJudge,
        rejects: Rejects,
        *,
        keep: bool,
        steps: Steps,
        folder: Path,
        workers: int | None,
    ) -> None:
        self._judge = judge
        self._rejects = rejects
        self._keep = keep
        self._steps = steps
        self._folder = folder
        number = workers_for([part for one in selections for part in one.parts], workers)
        self._tasks = {one.split: _tasks(one) if number > 1 else [] for one in selections}
        self._workers = Workers(self._tasks, judge, keep=keep, folder=folder, number=number)
        self._open = ExitStack()

    def __enter__(self) -> OnePass:
        self._open.enter_context(self._workers)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def run(self, selection: Selection, *, final: bool) -> tuple[Spool, Tally]:
        """Return the rows that went through; `final` says that their lines are a file as they are."""
        tasks = self._tasks[selection.split]
        with SpoolWriter(selection.split, self._folder, final=final) as out:
            if self._workers.able:
                seen = self._by_workers(selection.split, out)
            else:
                # What tasks hold of the wanted rows is theirs: it can be told once.
                read = chain.from_iterable(task.read() for task in tasks) if tasks else _read(selection)
                seen = self._here(selection.split, read, out)
        return out.spool(seen.unit), seen

    def _here(self, split: str, chunks: Iterable[Chunk], out: SpoolWriter) -> Tally:
        checker = Checker(split, self._judge, out, self._rejects, keep=self._keep)
        for chunk in prefetched(chunks):
            checker.take(chunk)
            self._steps.advance(len(chunk.numbers))
        return checker.tally

    def _by_workers(self, split: str, out: SpoolWriter) -> Tally:
        seen = Tally()
        for made, lines in self._workers.made(split, seen):
            out.append(lines, made.records, made.files)
            for row in made.bad:
                self._rejects.add(row)
            self._steps.advance(len(made.records) + len(made.bad))
        return seen


def _tasks(selection: Selection) -> list[Task]:
    return tasks_of(selection.split, selection.parts, selection.wanted, selection.columns)


def _read(selection: Selection) -> Iterable[Chunk]:
    return read_all(selection.parts, selection.wanted, selection.columns)
