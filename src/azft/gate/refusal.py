"""What is said of data that is refused: by which codes, what was not read, and what to do."""

from __future__ import annotations

import shutil
from pathlib import Path

from azft.domain.data import ACCEPTABLE, DUPLICATES
from azft.errors import DatasetError
from azft.gate.rejects import BAD, REPEATED, Rejects
from azft.rules.words import counted


def refusal(source: str, rejects: Rejects, files: Path, report: Path) -> DatasetError:
    """Return the error that names the bad rows; all of them, and the duplicates refused, go to the report."""
    _join(files, report)
    return DatasetError(
        f"{source} has {counted(rejects.refused, 'bad row')} ({_by_code(rejects)}){unread(rejects)}",
        rejects.held,
        hint=_hint(rejects),
        total=rejects.refused,
        report=report,
    )


def no_rows(source: str, rejects: Rejects) -> DatasetError:
    """Return the error of data of which nothing is left."""
    hint = "every row was left out; bad rows have their reasons" if rejects.codes else "each row is an object"
    return DatasetError(f"{source} has no rows{unread(rejects)}", hint=hint)


def unread(rejects: Rejects) -> str:
    """Return how much of which file was not read, for the end of a line."""
    return "".join(f"; {part} of {file} were not read" for file, part in rejects.unread.items())


def _by_code(rejects: Rejects) -> str:
    codes = {**rejects.codes, **(rejects.duplicates if rejects.actions["refused"] else {})}
    return ", ".join(f"{rows:,} {code}" for code, rows in sorted(codes.items()))


def _hint(rejects: Rejects) -> str:
    codes = {row.code for row in rejects.held}
    accept = sorted(codes & set(ACCEPTABLE))
    let = f"; accept={accept} lets them through" if codes <= set(ACCEPTABLE) else ""
    if codes <= set(DUPLICATES):
        return f'duplicates="keep" keeps them, and duplicates="drop" leaves them out{let}'
    return f'fix or remove them, or on_bad="drop" leaves them out and on_bad="fix" fixes what it can{let}'


def _join(files: Path, report: Path) -> None:
    with (files / BAD).open("ab") as out, (files / REPEATED).open("rb") as repeated:
        shutil.copyfileobj(repeated, out)
    (files / BAD).replace(report)
