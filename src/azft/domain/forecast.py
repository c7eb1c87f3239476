"""What a run will do, and what its data looks like, before it runs."""

from __future__ import annotations

from attrs import frozen

SHOWN_AS_SECONDS = 120


@frozen
class Forecast:
    """What the run will do: rows, rows in one step over all devices, and steps.

    `seconds` of training, from the speed of earlier runs of the same kind, and `cost` in the currency that
    `label` names, are each a low and a high end; None where no run or no price is known.
    """

    train_rows: int
    validation_rows: int
    batch: int
    steps_per_epoch: int
    steps: int
    seconds: tuple[float, float] | None = None
    cost: tuple[float, float] | None = None
    label: str = ""

    def __str__(self) -> str:
        every = f"{self.steps_per_epoch:,} an epoch"
        said = f"{self.steps:,} steps of {self.batch} rows, {every}, over {self.train_rows:,} rows"
        if self.seconds:
            said += f"; {_duration(self.seconds[0])} to {_duration(self.seconds[1])} of training"
        return said + (
            f", {self.cost[0]:.2f} to {self.cost[1]:.2f} to pay{f' ({self.label})' if self.label else ''}"
            if self.cost
            else ""
        )


@frozen
class DataLook:
    """What a look at the source's first rows showed; `train_rows` and `test_rows` are None where it did not end.

    `tokens` is the mean length of a conversation, and `too_long` the share of the rows looked at that is longer than
    the model reads; `exact` says that they were counted, and not estimated from the text. `used` are the training rows
    that the chosen share of them is.
    """

    looked_at: int
    train_rows: int | None
    test_rows: int | None
    tokens: float = 0.0
    too_long: float = 0.0
    exact: bool = False
    used: int | None = None

    def __str__(self) -> str:
        train = "more" if self.train_rows is None else f"{self.train_rows if self.used is None else self.used:,}"
        if self.used is not None and self.used != self.train_rows:
            train += f" of {self.train_rows:,}"
        test = "" if self.test_rows is None else f", {self.test_rows:,} to test"
        about = "" if self.exact else "about "
        return f"{train} rows to train{test}; {about}{self.tokens:.0f} tokens each, {self.too_long:.0%} too long"


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{seconds:.0f} s" if seconds < SHOWN_AS_SECONDS else f"{minutes // 60}:{minutes % 60:02d} h"
