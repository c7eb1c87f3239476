"""How data is prepared, and the files that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, get_args

import orjson
from attrs import Attribute, evolve, field, frozen

from azft.domain.checks import Checks
from azft.domain.tokens import TokenStatistics
from azft.errors import ConfigurationError
from azft.views.description import Line, View, facts

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


def _whole(name: str) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: object, _attribute: Attribute[Any], value: object) -> None:
        if not isinstance(value, int) or isinstance(value, bool):
            raise ConfigurationError(f"{name} is {value!r}, expected a whole number")

    return check


def _one_of(name: str, choices: object) -> Callable[[Any, Attribute[Any], Any], None]:
    def check(_instance: object, _attribute: Attribute[Any], value: object) -> None:
        known = get_args(choices)
        if value not in known:
            raise ConfigurationError(f"{name} is {value!r}, expected one of {', '.join(map(repr, known))}")

    return check


Sample = Literal["first", "random", "cluster"]
OnBad = Literal["raise", "drop", "fix"]
Duplicates = Literal["keep", "drop", "raise"]
DUPLICATES = ("AZFT-R101", "AZFT-R102", "AZFT-R103")
"""Rows that repeat another: to the letter, but for case and spaces, or a training prompt that the test has too."""
ACCEPTABLE = ("AZFT-R013", *DUPLICATES)
"""Faults that a row can be trained on with: no last answer, or a repetition."""


def _codes(given: Iterable[str]) -> tuple[str, ...]:
    codes = (given,) if isinstance(given, str) else tuple(given)
    for code in codes:
        if code not in ACCEPTABLE:
            raise ConfigurationError(f"accept holds {code!r}, expected one of {', '.join(ACCEPTABLE)}")
    return tuple(sorted(set(codes)))


def _number(value: Any) -> Any:
    """Return 5 as 5.0, so that equal settings have equal digests."""
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


class DataOptions(TypedDict, total=False):
    """`DataSettings` as keyword arguments, each with the default that it has there."""

    percent: float
    sample: Sample
    validation: float
    test: float
    seed: int
    on_bad: OnBad
    duplicates: Duplicates
    accept: Iterable[str]
    keep: bool


@frozen
class DataSettings:
    """How rows are chosen: every cut is explicit, and the seed makes it come out the same way twice.

    `percent` of each split is used: the "first" rows, a "random" sample of all, or a "cluster" sample that draws row
    groups of Parquet files first and rows in them second, so that little is read. `validation` is the fraction of the
    chosen training rows set aside for validation; `test` the fraction cut off first when the source has no test split.
    `on_bad` says what becomes of bad rows: "raise" refuses the data, "drop" leaves them out, "fix" repairs those it can
    without a guess. `duplicates` says what becomes of rows that repeat another and of training prompts that the test
    has too: "keep" counts, lists and keeps them (and the test's are not counted in the evaluation), "drop" leaves them
    out, "raise" refuses the data. Rows whose only fault is in `accept` (codes of docs/findings.md) go through. `keep`
    keeps the source's other columns beside the messages.
    """

    percent: float = field(default=100.0, converter=_number, validator=_within("percent", 0, 100, low_open=True))
    sample: Sample = field(default="first", validator=_one_of("sample", Sample))
    validation: float = field(default=0.1, converter=_number, validator=_within("validation", 0, 0.5))
    test: float = field(default=0.1, converter=_number, validator=_within("test", 0, 0.5, low_open=True))
    seed: int = field(default=42, validator=_whole("seed"))
    on_bad: OnBad = field(default="raise", validator=_one_of("on_bad", OnBad))
    duplicates: Duplicates = field(default="keep", validator=_one_of("duplicates", Duplicates))
    accept: tuple[str, ...] = field(default=(), converter=_codes)
    keep: bool = False

    @classmethod
    def of(cls, options: DataOptions, others: DataSettings | None = None) -> DataSettings:
        """Return the settings of keyword arguments, the rest from `others`; `ConfigurationError` for another name."""
        unknown = [name for name in options if name not in DataOptions.__annotations__]
        if unknown:
            raise ConfigurationError(
                f"{unknown[0]!r} is no setting of the data", hint=f"they are {', '.join(DataOptions.__annotations__)}"
            )
        return evolve(others or cls(), **options)


@frozen
class DataFile:
    """One prepared file: one JSON object per line, with its number of rows and the SHA-256 of its bytes.

    A file or a folder that goes to a pipeline `as_is` was not read, so 0 is no count of its rows. Where a split has
    nothing, the digest is empty.
    """

    path: Path
    rows: int
    sha256: str
    as_is: bool = False

    @property
    def is_there(self) -> bool:
        """Whether the split has a file or a folder."""
        return bool(self.sha256)

    @property
    def counted(self) -> str:
        """How many rows it has, in words."""
        if not self.is_there:
            return "nothing"
        return "rows that nobody has counted" if self.as_is else f"{self.rows:,} rows"


@frozen(repr=False)
class PreparedData(Line):
    """Train, validation and test files in the component's format, and how they came about.

    `revision` is the source's, where it has one; `version` is azft's; `converter` says what made messages of the rows.
    `key` is a digest of the request and of the content it read, empty where the source cannot tell. `tokenizer` is the
    folder or hub id whose tokenizer counted, empty if none did, and `chat_template` what took the place of its own.
    `checks` is what the gate found, and `tokens` what the training rows hold. `trained_on` are the rows of the test
    file, counted from 0, whose prompts are trained on; they do not count in the evaluation.
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
    chat_template: str = ""
    trained_on: tuple[int, ...] = ()

    def preview(self, rows: int = 5) -> pd.DataFrame:
        """Return the first training rows as a frame; reads that many lines and no more."""
        import pandas as pd

        if self.train.as_is:
            raise ConfigurationError(
                f"{self.train.path} is given to the pipeline as it is, so nobody can show its rows"
            )
        with self.train.path.open("rb") as lines:
            return pd.DataFrame([orjson.loads(line) for line in islice(lines, rows)])

    def view(self) -> View:
        """Describe the files."""
        files = (("train", self.train), ("validation", self.validation), ("test", self.test))
        counted = ", ".join(f"{label} {file.counted}" for label, file in files)
        rows = [
            (label, f"{file.counted} in {file.path}, SHA-256 {file.sha256[:16]}" if file.is_there else file.counted)
            for label, file in files
        ]
        return View(f"Data {self.name}", f"{self.name}: {counted} in {self.folder}", (facts("", rows),))
