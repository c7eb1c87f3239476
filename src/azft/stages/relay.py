"""Pass a run's events on from the machine that trains: as lines of its log, and as metrics of its job in MLflow."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from azft.domain.evaluation import EvaluationReport
from azft.domain.run import RunEvent
from azft.training.events import EventLog, EventReader, line_of
from azft.waiting import Repeating

EVERY = 1.0
RUN = "MLFLOW_RUN_ID"
"""Names the run in MLflow that is the job; the service sets it, and the address of MLflow, for each process."""


class Relay(Repeating):
    """Tells what an event log says, until its block ends: the watcher reads the lines, and MLflow has the curves."""

    def __init__(self, events: EventLog) -> None:
        super().__init__(lambda: self.update(now=True), EVERY, "azft-relay")
        self._events = events
        self._reader = EventReader(events.path)
        self._lock = threading.Lock()
        self._mlflow = bool(os.environ.get(RUN))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, trace)
        self.update(now=True)

    def update(self, *, now: bool = False) -> None:
        """Tell what is new, if it is to be `now`: a thread does so anyway."""
        if not now:
            return
        with self._lock:
            new = list(self._reader.new())
            for event in new:
                # The line before may be open: a bar of progress of another library is.
                sys.stdout.write(f"\n{line_of(event)}\n")
            sys.stdout.flush()
            self._measured(new)

    def record(self, report: EvaluationReport, outputs: Path) -> None:
        """Tell the scores; the job's outputs hold the rest."""
        for name, scores in (("base", report.base), ("tuned", report.tuned)):
            values = {"perplexity": scores.perplexity, "token_accuracy": scores.token_accuracy}
            self._events.say("metrics", values={f"{name}_{key}": value for key, value in values.items()})

    def _measured(self, events: Sequence[RunEvent]) -> None:
        """Add the numbers to the job's run; where MLflow cannot be written, the run goes on and says so once."""
        told = [event for event in events if event.kind in {"progress", "metrics"} and event.values]
        if not told or not self._mlflow:
            return
        try:
            from mlflow import MlflowClient
            from mlflow.entities import Metric

            points = [
                Metric(name, value, int(event.time * 1000), event.step)
                for event in told
                for name, value in event.values.items()
            ]
            MlflowClient().log_batch(os.environ[RUN], metrics=points)
        except Exception as error:  # noqa: BLE001 - whatever keeps MLflow from being written must not end a training
            self._mlflow = False
            self._events.say("warning", f"MLflow cannot be written, so the run's curves are not in it: {error}")
