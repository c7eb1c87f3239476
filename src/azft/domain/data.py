"""Rows on their way in, and the prepared files on their way out."""

from __future__ import annotations

import io
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attrs import Attribute, field, frozen

from azft.errors import ConfigurationError

if TYPE_CHECKING:
    import pandas as pd


def _within(
    name: str, low: float, high: float, *, low_open: bool = False
) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: object, _attribute: Attribute[Any], value: object) -> None:
        fits = isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
        if not fits or (low_open and value == low):
            expected = f"{'above' if low_open else 'at least'} {low} and at most {high}"
            raise ConfigurationError(f"{name} is {value!r}, expected a number {expected}")

    return check


def _one_of(name: str, choices: tuple[str, ...]) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: object, _attribute: Attribute[Any], value: object) -> None:
        if value not in choices:
            raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(map(repr, choices))}")

    return check


@frozen
class SourceRow:
    """One row as read, and where it stands: a file and a line (or row) number counted from 1."""

    value: Any
    file: str
    line: int


@frozen
class BadRow:
    """A row that cannot be used: where it stands and why."""

    file: str
    line: int
    reason: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}: {self.reason}"


@frozen
class DataSettings:
    """How rows are chosen: every cut is explicit, and the seed makes it come out the same way twice.

    `percent` of each split is used, the "first" rows or a "random" sample. `validation` is the fraction of the
    chosen training rows set aside for validation; `test` the fraction cut off first when the source has no test split.
    """

    percent: float = field(default=100.0, validator=_within("percent", 0, 100, low_open=True))
    sample: str = field(default="first", validator=_one_of("sample", ("first", "random")))
    validation: float = field(default=0.1, validator=_within("validation", 0, 0.5))
    test: float = field(default=0.1, validator=_within("test", 0, 0.5, low_open=True))
    seed: int = 42


@frozen
class DataFile:
    """One prepared file: one JSON object per line, with its number of rows and the SHA-256 of its bytes."""

    path: Path
    rows: int
    sha256: str


@frozen
class PreparedData:
    """Train, validation and test files in the component's format, and how they came about."""

    name: str
    source: str
    folder: Path
    train: DataFile
    validation: DataFile
    test: DataFile
    settings: DataSettings
    sha256: str

    def preview(self, rows: int = 5) -> pd.DataFrame:
        """Return the first training rows as a frame; reads that many lines and no more."""
        import pandas as pd

        with self.train.path.open(encoding="utf-8", newline="\n") as lines:
            head = "".join(islice(lines, rows))
        return pd.read_json(io.StringIO(head), lines=True, dtype=False)

    def __str__(self) -> str:
        files = ", ".join(
            f"{label} {file.rows:,} rows"
            for label, file in (("train", self.train), ("validation", self.validation), ("test", self.test))
        )
        return f"{self.name}: {files} in {self.folder}"
