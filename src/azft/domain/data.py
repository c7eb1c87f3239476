"""How data is prepared, and the files that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from attrs import Attribute, field, frozen

from azft.domain.checks import Checks
from azft.domain.tokens import TokenStatistics
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


ACCEPTABLE = ("AZFT-R013", "AZFT-R101", "AZFT-R102", "AZFT-R103")
"""Faults that a row can be trained on with: no last answer, a twin, a prompt that the test has too."""


def _codes(given: Iterable[str]) -> tuple[str, ...]:
    codes = (given,) if isinstance(given, str) else tuple(given)
    for code in codes:
        if code not in ACCEPTABLE:
            raise ConfigurationError(f"accept holds {code!r}, expected one of {', '.join(ACCEPTABLE)}")
    return codes


@frozen
class DataSettings:
    """How rows are chosen: every cut is explicit, and the seed makes it come out the same way twice.

    `percent` of each split is used: the "first" rows, a "random" sample of all, or a "cluster" sample that draws row
    groups of Parquet files first and rows in them second, so that little is read. `validation` is the fraction of the
    chosen training rows set aside for validation; `test` the fraction cut off first when the source has no test split.
    `on_bad` says what becomes of bad rows: "raise" refuses the data, "drop" leaves them out, "fix" mends those it can
    without a guess. Rows whose only fault is in `accept` (codes of docs/findings.md) go through. `keep` keeps the
    source's other columns beside the messages.
    """

    percent: float = field(default=100.0, validator=_within("percent", 0, 100, low_open=True))
    sample: str = field(default="first", validator=_one_of("sample", ("first", "random", "cluster")))
    validation: float = field(default=0.1, validator=_within("validation", 0, 0.5))
    test: float = field(default=0.1, validator=_within("test", 0, 0.5, low_open=True))
    seed: int = 42
    on_bad: str = field(default="raise", validator=_one_of("on_bad", ("raise", "drop", "fix")))
    accept: tuple[str, ...] = field(default=(), converter=_codes)
    keep: bool = False


@frozen
class DataFile:
    """One prepared file: one JSON object per line, with its number of rows and the SHA-256 of its bytes."""

    path: Path
    rows: int
    sha256: str


@frozen
class PreparedData:
    """Train, validation and test files in the component's format, and how they came about.

    `revision` is the source's, where it has one; `version` is azft's; `converter` says what made messages of the rows.
    `key` is a digest of the request and of the content it read, empty where the source cannot tell. `tokenizer` is the
    folder or hub id whose tokenizer counted, empty if none did. `checks` is what
    the gate found, and `tokens` what the training rows hold.
    """

    name: str
    source: str
    folder: Path
    train: DataFile
    validation: DataFile
    test: DataFile
    settings: DataSettings
    sha256: str
    revision: str = ""
    version: str = ""
    converter: str = ""
    key: str = ""
    tokenizer: str = ""
    checks: Checks = field(factory=Checks)
    tokens: TokenStatistics | None = None

    def preview(self, rows: int = 5) -> pd.DataFrame:
        """Return the first training rows as a frame; reads that many lines and no more."""
        import pandas as pd

        with self.train.path.open("rb") as lines:
            return pd.DataFrame([orjson.loads(line) for line in islice(lines, rows)])

    def __str__(self) -> str:
        files = ", ".join(
            f"{label} {file.rows:,} rows"
            for label, file in (("train", self.train), ("validation", self.validation), ("test", self.test))
        )
        return f"{self.name}: {files} in {self.folder}"
