"""Keep the run in MLflow while it lasts: there from its first minute, with its real times and its curves."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from azft.backends.local.home import Home
from azft.domain.evaluation import EvaluationReport
from azft.domain.job import Job
from azft.domain.run import RunStatus
from azft.training.events import EventLog, EventReader

if TYPE_CHECKING:
    from azft.backends.local.tracking import Tracking

EVERY = 3.0
"""Seconds between two additions; what is behind is added with the next one, or at the end of the stage."""


class LiveTracking:
    """Tells MLflow what the event log says; where MLflow cannot be written, the run goes on and says so once."""

    def __init__(self, run_id: str, home: Home, job: Job, events: EventLog) -> None:
        self._run_id = run_id
        self._home = home
        self._job = job
        self._events = events
        self._reader = EventReader(events.path)
        self._last = 0.0
        self._store: Tracking | None = None
        self._broken = False

    def update(self, *, now: bool = False) -> None:
        """Add what is new, at most every few seconds unless it is to be `now`."""
        if not self._broken and (now or time.monotonic() - self._last >= EVERY):
            self._try(lambda store: store.hear(self._run_id, self._reader.new()))
            self._last = time.monotonic()

    def record(self, report: EvaluationReport, outputs: Path) -> None:
        """Write the scores and the result into the run."""
        from azft.backends.local.tracking import Tracking

        Tracking(self._home).record(self._run_id, self._job, report, outputs)

    def end(self, status: str, *, begun: bool) -> None:
        """Say how the run ended, if MLflow knows it: `begun` is whether a stage of it was ever done."""
        if self._store is not None or begun:
            self.update(now=True)
            self._try(lambda store: store.end(self._run_id, RunStatus(status)))

    def _try(self, write: Callable[[Tracking], None]) -> None:
        try:
            write(self._tracking())
        except Exception as error:  # noqa: BLE001 - whatever keeps MLflow from being written must not end a training
            if not self._broken:
                self._broken = True
                self._events.say("warning", f"MLflow cannot be written, so the run's curves are not in it: {error}")

    def _tracking(self) -> Tracking:
        if self._store is None:
            from azft.backends.local.tracking import Tracking

            self._store = Tracking(self._home)
            self._store.begin(self._run_id, self._job)
        return self._store
