"""The embedded MLflow: one SQLite file for runs and the model registry, files beside it."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock

from azft.backends.local.home import Home
from azft.domain.evaluation import EvaluationReport
from azft.domain.job import Job
from azft.domain.resource import Leftover, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunStatus
from azft.errors import NotFoundError, NotOursError, RunError
from azft.files import make_durable, remove_leftovers, scratch_folder, share, sync_folder
from azft.rules.marks import FOLDER, TOKEN, is_ours

RUN_TAG = "azft.run"
WHOLE = "azft.model_logged"
"""The tag of a run whose model lies in MLflow, whole."""
WORDS = {RunStatus.COMPLETED: "FINISHED", RunStatus.FAILED: "FAILED", RunStatus.CANCELED: "KILLED"}
"""How MLflow calls the ways a run ends."""
_BATCH = 100


class Tracking:
    """Records runs and registers models; everything is looked up by the azft run id first, so nothing is made twice."""

    def __init__(self, home: Home) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        self._home = home
        self._reached: dict[str, int] = {}
        home.root.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(home.root / "mlflow.lock")
        with self._lock:
            _create_store(home)
            self._client = MlflowClient(tracking_uri=home.tracking_uri, registry_uri=home.tracking_uri)

    def begin(self, run_id: str, job: Job) -> None:
        """Open the run in MLflow, or open it again: its parameters, its tags, and the data that it reads."""
        from mlflow.entities import Dataset, DatasetInput, InputTag, Param

        data = job.data
        with self._lock:
            known = self._find(run_id)
            self._reached = {}
            identity = self._opened(run_id, job.experiment, job.display_name, job.tags)
            if known is not None:
                self._client.update_run(identity, status="RUNNING")
                # A run that goes on from a checkpoint tells steps again that MLflow has already.
                self._reached = {name: self._last_step(identity, name) for name in known.data.metrics}
                if known.data.params and known.inputs.dataset_inputs:
                    return
            self._log(identity, [], [Param(entry.name, str(entry.value)) for entry in job.parameters.entries])
            files = (("training", data.train), ("validation", data.validation), ("testing", data.test))
            self._client.log_inputs(
                identity,
                [
                    DatasetInput(
                        Dataset(
                            name=data.name,
                            digest=file.sha256[:36],
                            source_type="local",
                            source=json.dumps({"uri": data.source, "file": str(file.path)}),
                            profile=json.dumps({"num_rows": file.rows}),
                        ),
                        [InputTag("mlflow.data.context", context)],
                    )
                    for context, file in files
                ],
            )

    def hear(self, run_id: str, events: Iterable[RunEvent]) -> None:
        """Add the numbers of events to an open run."""
        from mlflow.entities import Metric

        metrics = []
        for event in events:
            if event.kind not in {"progress", "metrics"}:
                continue
            for name, value in event.values.items():
                # A worker that was killed may have told steps that are in the log only, and the next tells them again.
                if math.isfinite(value) and event.step > self._reached.get(name, -1):
                    self._reached[name] = event.step
                    metrics.append(Metric(name, value, int(event.time * 1000), event.step))
        if metrics:
            with self._lock:
                found = self._find(run_id)
                if found is not None:
                    self._log(str(found.info.run_id), metrics, [])

    def end(self, run_id: str, status: RunStatus) -> None:
        """Say how an open run ended; one that was never opened stays unknown."""
        with self._lock:
            found = self._find(run_id)
            if found is not None:
                self._client.set_terminated(found.info.run_id, WORDS[status])

    def record(self, run_id: str, job: Job, report: EvaluationReport, outputs: Path) -> None:
        """Write the scores, loss.png and the model into the run; the run is open until `end` says how it ended."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = []
        for name, scores in (("base", report.base), ("tuned", report.tuned)):
            values = {"loss": scores.loss, "perplexity": scores.perplexity, "token_accuracy": scores.token_accuracy}
            metrics += [Metric(f"{name}_{key}", value, now, 0) for key, value in values.items()]
        with self._lock:
            identity = self._opened(run_id, job.experiment, job.display_name, job.tags)
            self._log(identity, metrics, [])
            self._client.log_artifact(identity, str(outputs / "loss.png"))
            self._client.log_artifacts(identity, str(outputs / "model"), "model")
            kept = str(self._client.get_run(identity).info.artifact_uri).removeprefix("file://")
            share(outputs / "model", Path(kept) / "model")
            self._client.set_tag(identity, WHOLE, "true")

    def mirror(
        self,
        run_id: str,
        *,
        experiment: str,
        name: str,
        tags: Mapping[str, str],
        points: Sequence[tuple[str, float, float, int]],
        ended: str,
        begun: float,
        ended_at: float,
    ) -> str:
        """Keep a run up to date while it lasts, and return its MLflow id.

        `points` are (name, value, seconds since 1970, step), and may hold what was given before; `ended` is MLflow's
        word for how it ended, or empty; `begun` and `ended_at` are when, in seconds since 1970.
        """
        from mlflow.entities import Metric, RunTag

        with self._lock:
            identity = self._opened(run_id, experiment, name, tags, begun)
            self._client.log_batch(identity, tags=[RunTag(key, value) for key, value in tags.items()])
            self._log(identity, [Metric(key, value, int(at * 1000), step) for key, value, at, step in points], [])
            if ended:
                self._client.set_terminated(identity, ended, int(ended_at * 1000) or None)
            return identity

    def register(self, run: Run, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Return the version of `name` made from the run, creating it if there is none."""
        from mlflow.exceptions import MlflowException

        with self._lock:
            mlflow_run = self._find(run.id)
            if mlflow_run is None or mlflow_run.data.tags.get(WHOLE) != "true":
                raise RunError(f"{run.id} has no model", run, RunStatus.RUNNING, hint="watch it until it has completed")
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            identity = mlflow_run.info.run_id
            lineage = {name: value for name, value in mlflow_run.data.tags.items() if name.startswith("azft.")}
            found = [version for version in self._versions(name) if version.run_id == identity]
            version = (
                found[0]
                if found
                else self._client.create_model_version(
                    name,
                    source=f"{mlflow_run.info.artifact_uri}/model",
                    run_id=identity,
                    tags={**lineage, **tags},
                )
            )
            return _registered(name, version)

    def register_folder(self, folder: Path, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Return the version of `name` made from a folder of that content, creating it if there is none."""
        from mlflow.exceptions import MlflowException

        content = tags[FOLDER]
        with self._lock:
            for known in self._versions(name):
                if known.tags.get(FOLDER) == content:
                    return _registered(name, known)
            identity = self._opened(f"folder-{content[:12]}", "folders", name, {FOLDER: content})
            self._client.log_artifacts(identity, str(folder), "model")
            self._client.set_terminated(identity, WORDS[RunStatus.COMPLETED])
            try:
                self._client.create_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            place = self._client.get_run(identity).info.artifact_uri
            return _registered(
                name,
                self._client.create_model_version(name, source=f"{place}/model", run_id=identity, tags=dict(tags)),
            )

    def versions(self, name: str) -> tuple[str, ...]:
        """Return the versions of that name."""
        return tuple(str(found.version) for found in self._versions(name))

    def folder_of(self, model: RegisteredModel) -> Path:
        """Return the folder that holds the registered MLflow model."""
        from mlflow.exceptions import MlflowException

        try:
            source = self._client.get_model_version(model.name, model.version).source
        except MlflowException as error:
            raise NotFoundError(
                f"no registered model {model.name}:{model.version}", hint="register it first"
            ) from error
        return Path(str(source).removeprefix("file://"))

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every registered version that bears our marks."""
        for version in self._client.search_model_versions():
            if TOKEN in version.tags:
                resource = Resource("model", f"{version.name}:{version.version}", "local", version.tags[TOKEN])
                yield Leftover(resource, "registered", version.creation_timestamp / 1000, price=0.0)

    def delete_version(self, name: str, version: str, token: str = "") -> None:
        """Delete one version, and the name with its last one; without a version, the one that bears the token."""
        from mlflow.exceptions import MlflowException

        if not version:
            found = [str(one.version) for one in self._versions(name) if token and is_ours(one.tags, token)]
            for one in found:
                self.delete_version(name, one, token)
            return
        with self._lock:
            for known in self._versions(name):
                if str(known.version) == version and token and not is_ours(known.tags, token):
                    raise NotOursError(f"model {name}:{version} was made by somebody else, so it is left")
            try:
                self._client.delete_model_version(name, version)
                if not self._versions(name):
                    self._client.delete_registered_model(name)
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                    raise

    def _versions(self, name: str) -> list[Any]:
        quoted = name.replace("'", "''")
        return list(self._client.search_model_versions(f"name='{quoted}'"))

    def _find(self, run_id: str) -> Any:
        experiments = [experiment.experiment_id for experiment in self._client.search_experiments()]
        found = self._client.search_runs(experiments, f"tags.`{RUN_TAG}` = '{run_id}'", max_results=1)
        return found[0] if found else None

    def _last_step(self, identity: str, name: str) -> int:
        return max((int(point.step) for point in self._client.get_metric_history(identity, name)), default=-1)

    def _opened(self, run_id: str, experiment: str, name: str, tags: Mapping[str, str], begun: float = 0.0) -> str:
        """Return the MLflow id of the run, created if there is none."""
        found = self._find(run_id)
        if found is None:
            known = self._client.get_experiment_by_name(experiment)
            place = (
                known.experiment_id
                if known
                else self._client.create_experiment(experiment, artifact_location=self._home.artifacts.as_uri())
            )
            since = int(begun * 1000) or None
            found = self._client.create_run(place, since, run_name=name, tags={RUN_TAG: run_id, **tags})
        return str(found.info.run_id)

    def _log(self, identity: str, metrics: Sequence[Any], parameters: Sequence[Any]) -> None:
        for begin in range(0, max(len(parameters), len(metrics)), _BATCH):
            window = slice(begin, begin + _BATCH)
            self._client.log_batch(identity, metrics=metrics[window], params=parameters[window])


def _registered(name: str, version: Any) -> RegisteredModel:
    return RegisteredModel(name, str(version.version), f"models:/{name}/{version.version}", "local", version.tags)


def _create_store(home: Home) -> None:
    """Create the database aside and rename it: a kill amid MLflow's migrations leaves one that nobody can open."""
    if home.database.exists():
        return
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    remove_leftovers(home.root)
    with scratch_folder(home.root, "mlflow") as aside:
        store = SqlAlchemyStore(f"sqlite:///{aside / home.database.name}", home.artifacts.as_uri())
        store.engine.dispose()
        make_durable(aside)
        (aside / home.database.name).rename(home.database)
    sync_folder(home.root)
