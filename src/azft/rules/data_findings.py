"""What is to be said of a dataset as a whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from azft.domain.findings import Finding, Severity
from azft.rules.codes import brief

FEWEST = 10
"""Training rows below which the chat pipeline of Azure ML refuses the data (its preprocessing, azureml-assets)."""
MEANT = ("context", "passage", "document", "input", "system", "history", "knowledge")
"""Words in names of columns that an answer may rest on."""


def columns_left_out(dataset: str, names: Sequence[str], *, chats: bool = True) -> Iterator[Finding]:
    """Say once which columns are not trained on; a warning where an answer may rest on one."""
    if names:
        meant = chats and any(word in name.lower() for name in names for word in MEANT)
        fix = "convert=FUNCTION makes messages of any columns; keep=True keeps them beside the messages"
        fix = fix if chats else "nothing, if that is meant; keep=True keeps them in the files"
        found = f"columns that are left out: {', '.join(names)}"
        yield Finding("AZFT-D010", "warning" if meant else "note", dataset, found, fix=fix)


def too_few(
    dataset: str, train: int, validation: int, *, wanted: bool, pipeline: bool, least: int = FEWEST
) -> Iterator[Finding]:
    """Say that there are too few rows: to train on at all, for the pipeline, or to set any aside for validation."""
    if train <= 0:
        found = "no row is left to train on, once one is set aside for the test"
        yield Finding("AZFT-D014", "error", dataset, found, "two rows at least", "more rows")
    elif train < least:
        found = f"{train} rows to train on" + (f", and the pipeline refuses fewer than {least}" if pipeline else "")
        severity: Severity = "error" if pipeline else "warning"
        yield Finding("AZFT-D014", severity, dataset, found, f"{least} rows at least", "more rows, or smaller shares")
    if wanted and train > 0 and validation == 0:
        found = "too few rows to set any aside for validation"
        yield Finding("AZFT-D014", "warning", dataset, found, "a validation row at least", "more rows")


def not_used(dataset: str, files: Sequence[str]) -> Iterator[Finding]:
    """Say which files beside those of the splits look as if they were meant to be used."""
    if files:
        found = f"files beside the splits that are not used: {', '.join(files[:5])}{', ...' if files[5:] else ''}"
        fix = "validation rows are cut from the training rows; train_split= and test_split= name the files"
        yield Finding("AZFT-D017", "note", dataset, found, fix=fix)


def unread(file: str, part: str) -> Finding:
    """Say that a part of a file was not read."""
    found = f"{part} are not read, behind a row that cannot be told apart from them"
    return Finding("AZFT-D013", "warning", file, found, fix="fix the row that is named")


def left_out_rows(dataset: str, code: str, rows: int, of: str) -> Finding:
    """Say how many rows are left out as the dataset is known to have them.

    >>> left_out_rows("ultrachat_200k", "AZFT-R010", 34, "230,975").found
    '34 of 230,975 rows left out: blank message'
    """
    found = f"{rows:,} of {of} rows left out: {brief(code)}"
    return Finding("AZFT-D011", "note", dataset, found, fix="the dataset is known to have such rows")
