"""The numbers of a run, from the workspace's MLflow; the steps' runs included."""

from __future__ import annotations

import os
from typing import Any

from attrs import frozen

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.domain.run import Run
from azft.errors import AzftError
from azft.waiting import Attempt

_MILLISECONDS = 1000


@frozen
class Measured:
    """One number at one step, at `time` (seconds since 1970)."""

    name: str
    value: float
    step: int
    time: float


class Metrics:
    """Asks MLflow about one run; nothing is set globally."""

    def __init__(self, clients: Clients) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        self._clients = clients
        self._known: Any = None
        self._experiments: dict[str, str] = {}

    def latest(self, run: Run) -> dict[str, float]:
        """Return the last value of every metric of the run and its steps."""
        values: dict[str, float] = {}
        for found in self._runs(run):
            values.update({name: float(value) for name, value in found.data.metrics.items()})
        return values

    def latest_if_known(self, run: Run, *, within: float = 20.0) -> tuple[dict[str, float], str]:
        """Return the same, and why they are not known where MLflow fails or does not answer within so many seconds."""
        attempt = Attempt(lambda: self.latest(run), "azft-metrics")
        if not attempt.wait(within):
            return {}, f"asking for the metrics of {run.id}: MLflow did not answer within {within:g} seconds"
        try:
            with translated(f"asking for the metrics of {run.id}"):
                return attempt.answer(), ""
        except AzftError as error:
            return {}, error.message

    def history(self, run: Run, names: tuple[str, ...]) -> list[Measured]:
        """Return every value of those metrics, oldest first."""
        points: list[Measured] = []
        for found in self._runs(run):
            for name in names:
                if name in found.data.metrics:
                    entries = self._client.get_metric_history(found.info.run_id, name)
                    points += [Measured(name, e.value, e.step, e.timestamp / _MILLISECONDS) for e in entries]
        return sorted(points, key=lambda point: (point.time, point.step, point.name))

    def _runs(self, run: Run) -> list[Any]:
        if run.experiment not in self._experiments:
            experiment = self._client.get_experiment_by_name(run.experiment)
            if experiment is None:
                return []
            self._experiments[run.experiment] = experiment.experiment_id
        asked = f"tags.mlflow.rootRunId = '{run.id}'"
        return list(self._client.search_runs([self._experiments[run.experiment]], asked, order_by=["start_time"]))

    @property
    def _client(self) -> Any:
        if self._known is None:
            from mlflow import MlflowClient

            self._known = MlflowClient(tracking_uri=self._clients.described.mlflow_tracking_uri)
        return self._known
