"""What a run will do, and what its data looks like, before it runs."""

from __future__ import annotations

from attrs import frozen

from azft.views.description import Line, View

SHOWN_AS_SECONDS = 120


@frozen(repr=False)
class Forecast(Line):
    """What the run will do: rows, rows in one step over all devices, and steps.

    `seconds` of the whole run and `cost` in the currency that `label` names are each a low and a high end; None where
    no speed or no price is known. `basis` says what the speed rests on: earlier runs of the same kind, or published
    ones. `hourly` is the price of all nodes for one hour. `test_rows` are held out, None where nobody knows how many,
    and `comparison` and `comparison_cost` what comparing both models on them takes where that is a job of its own.
    """

    train_rows: int
    validation_rows: int
    batch: int
    steps_per_epoch: int
    steps: int
    seconds: tuple[float, float] | None = None
    cost: tuple[float, float] | None = None
    label: str = ""
    basis: str = ""
    hourly: float | None = None
    test_rows: int | None = None
    comparison: tuple[float, float] | None = None
    comparison_cost: tuple[float, float] | None = None

    @property
    def work(self) -> str:
        """The steps in words."""
        every = f"{self.steps_per_epoch:,} an epoch"
        rows = "1 row" if self.batch == 1 else f"{self.batch} rows"
        return f"{self.steps:,} steps of {rows}, {every}, over {self.train_rows:,} rows"

    @property
    def time(self) -> str:
        """The time in words, with what it rests on; empty if it is not known."""
        return "" if self.seconds is None else f"{_span(self.seconds)}{f' ({self.basis})' if self.basis else ''}"

    @property
    def pay(self) -> str:
        """The cost in words; empty if it is not known."""
        return "" if self.cost is None else self._money(self.cost)

    @property
    def comparison_said(self) -> str:
        """Time and cost of a comparison as a job of its own, in words; empty if they are not known."""
        if self.comparison is None:
            return ""
        cost = self.comparison_cost
        return _span(self.comparison) + ("" if cost is None else f", {self._money(cost)}")

    @property
    def rate(self) -> str:
        """The price of the machines in words; empty if it is not known."""
        return "" if self.hourly is None else f"{self.hourly:,.2f} an hour{self._of}"

    def _money(self, ends: tuple[float, float]) -> str:
        return f"{ends[0]:,.2f} to {ends[1]:,.2f}{self._of}"

    @property
    def _of(self) -> str:
        return f" ({self.label})" if self.label else ""

    def view(self) -> View:
        """Describe work, time and cost in one line."""
        said = self.work + (f"; {self.time}" if self.time else "")
        return View("Forecast", said + (f"; {self.pay} to pay" if self.pay else ""))


@frozen(repr=False)
class DataLook(Line):
    """What a look at the source's first rows showed; `train_rows` and `test_rows` are None where it did not end.

    `tokens` is the mean length of a conversation, `longest` that of the longest (0 if it is not known), and `too_long`
    the share of the rows looked at that is longer than the model reads; `exact` says that they were counted, and not
    estimated from the text. `used` are the training rows that the chosen share of them is. `packs` are the packed rows
    that one row makes, 1 where rows are not packed.
    """

    looked_at: int
    train_rows: int | None
    test_rows: int | None
    tokens: float = 0.0
    too_long: float = 0.0
    exact: bool = False
    used: int | None = None
    longest: int = 0
    packs: float = 1.0

    def view(self) -> View:
        """Describe rows and lengths in one line."""
        train = "more" if self.train_rows is None else f"{self.train_rows if self.used is None else self.used:,}"
        if self.used is not None and self.used != self.train_rows:
            train += f" of {self.train_rows:,}"
        test = "" if self.test_rows is None else f", {self.test_rows:,} to test"
        if not self.tokens:
            return View("Data look", f"{train} rows to train{test}")
        about = "" if self.exact else "about "
        lengths = f"{about}{self.tokens:.0f} tokens each"
        lengths += (
            f", {self.too_long:.0%} too long" if self.looked_at or not self.train_rows else ", as the dataset is known"
        )
        return View("Data look", f"{train} rows to train{test}; {lengths}")


@frozen(repr=False)
class MemoryLook(Line):
    """GiB that each device is to hold, low and high end, and the room there is; 0 where that is not known."""

    low: float
    high: float
    room: float = 0.0

    def view(self) -> View:
        """Describe it in one line."""
        room = f" of {self.room:.0f}" if self.room else ""
        return View("Memory", f"{self.low:.1f} to {self.high:.1f}{room} GiB on each device")


def _span(ends: tuple[float, float]) -> str:
    low, high = map(duration, ends)
    return f"{low} to {high}"


def duration(seconds: float) -> str:
    """Return a time in words.

    >>> duration(61), duration(5400)
    ('61 s', '1:30 h')
    """
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < SHOWN_AS_SECONDS else f"{minutes // 60}:{minutes % 60:02d} h"
