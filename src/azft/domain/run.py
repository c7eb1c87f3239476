"""A run, its states, and the events it tells."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Literal

from attrs import field, frozen

from azft.domain.diagnosis import Diagnosis
from azft.domain.mappings import copied
from azft.views.description import Curves, Line, Lines, Part, Table, View, Viewed, facts


class RunStatus(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen."""
        return self in {RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED}


@frozen(repr=False)
class Run(Line):
    """The handle of a submitted job; its id is all another process needs to find it again.

    `model_name` is the name its model is to be registered under. `found` says, of a run that was there already, how it
    stands; it is empty for one that was started now.
    """

    id: str
    backend: str
    display_name: str
    experiment: str = ""
    model_name: str = ""
    found: str = field(default="", eq=False)

    def view(self) -> View:
        """Describe the handle."""
        said = [("id", self.id), ("display name", self.display_name), ("backend", self.backend)]
        said += [(label, text) for label, text in self._more() if text]
        return View("Run", f"{self.id} ({self.display_name}) on {self.backend}", (facts("", said),))

    def _more(self) -> tuple[tuple[str, str], ...]:
        return ("experiment", self.experiment), ("registers as", self.model_name), ("found", self.found)


@frozen
class RunState:
    """Where a run stands as its backend knows it: `since` is when it was submitted (seconds since 1970, 0: unknown).

    `key` is the digest of plan and data that it was started for, and `deleted` whether it was put out of sight.
    """

    run: Run
    status: RunStatus
    since: float = 0.0
    key: str = ""
    deleted: bool = False


def loss_curves(lines: Mapping[str, tuple[tuple[float, float], ...]]) -> Curves:
    """Return losses as a picture, which says in words where they began and ended."""
    said = [f"{name} {points[0][1]:.3f} to {points[-1][1]:.3f}" for name, points in lines.items() if points]
    return Curves("Loss", f"Loss over steps: {', '.join(said) or 'nothing yet'}.", lines)


class Runs(Viewed, tuple[RunState, ...]):
    """Runs with where each stands, which a notebook shows as one table."""

    __slots__ = ()

    def view(self) -> View:
        """Describe them as one table."""
        rows = [(s.run.id, s.status.value, _when(s.since), s.run.display_name, s.run.model_name) for s in self]
        columns = ("run", "status", "since", "display name", "registers as")
        return View(
            "Runs", f"{len(self)} run{'' if len(self) == 1 else 's'}", (Table("", columns, rows),) if rows else ()
        )


def _when(since: float) -> str:
    return f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC" if since else "not known"


QUESTION = "question"
"""What an evaluation counts, as the message of its progress."""
EventKind = Literal["status", "stage", "progress", "metrics", "log", "warning", "state"]


@frozen
class RunEvent:
    """One thing that happened in a run, at `time` (seconds since 1970).

    "status" and "stage" events carry their word in `message`, and "state" the service's own word, with the reason where
    it gives one; "progress" has `step` of `total`, and `message` says what is counted if it is no step; `values` holds
    numbers such as loss and tokens_per_second.
    """

    time: float
    kind: EventKind
    stage: str = ""
    message: str = ""
    step: int = 0
    total: int = 0
    values: Mapping[str, float] = field(converter=copied, factory=dict)


@frozen(repr=False)
class RunResult(Line):
    """How a run ended: its status, final metrics, warnings, the reason of a failure, and where its outputs are.

    `diagnosis` is what the reason means, as far as azft knows it; None for a run that did not fail. `curves` are the
    losses that were heard while it was watched, as (step, value).
    """

    run: Run
    status: RunStatus
    metrics: Mapping[str, float] = field(converter=copied, factory=dict)
    warnings: tuple[str, ...] = ()
    error: str = ""
    outputs: str = ""
    diagnosis: Diagnosis | None = None
    curves: Mapping[str, tuple[tuple[float, float], ...]] = field(converter=copied, factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.run.id} {self.status}; its files: {self.outputs}"]
        lines += [f"warning: {warning}" for warning in self.warnings]
        if self.diagnosis is not None:
            return "\n".join([*lines, str(self.diagnosis)])
        return "\n".join([*lines, f"error: {self.error}"] if self.error else lines)

    def view(self) -> View:
        """Describe the end of the run: its metrics, its warnings, and why it failed, if it did."""
        parts: list[Part] = []
        if self.diagnosis is not None:
            parts.append(Lines(str(self.diagnosis).splitlines(), "Why it failed"))
        elif self.error:
            parts.append(Lines((self.error,), "Error"))
        if self.warnings:
            parts.append(Lines(self.warnings, "Warnings"))
        if self.curves:
            parts.append(loss_curves(self.curves))
        if self.metrics:
            parts.append(Table("Metrics", ("metric", "value"), [(n, f"{v:,.6g}") for n, v in self.metrics.items()]))
        parts.append(facts("", [("files", self.outputs), ("run", str(self.run))]))
        return View(f"Run {self.status}", f"{self.run.id} {self.status}", parts)
