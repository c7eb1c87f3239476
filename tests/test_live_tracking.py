"""MLflow as people expect it (case N8): the run is there while it trains, with real times, curves and its data."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve
from mlflow import MlflowClient

import azft
from azft.backends.local.backend import LocalBackend
from azft.domain.jsonable import to_json
from azft.training.events import read_events
from tests.test_kills import worker_of


def session(folder: Path, steps: int) -> azft.FineTuneSession:
    return azft.FineTuneSession(
        dataset="ultrachat_sample",
        percent=20,
        recipe="quick",
        parameters={"max_steps": steps, "logging_steps": 1},
        folder=folder,
        progress=False,
    )


def client_of(made: azft.FineTuneSession) -> MlflowClient:
    backend = made.backend
    assert isinstance(backend, LocalBackend)
    return MlflowClient(tracking_uri=backend.home.tracking_uri)


def found(client: MlflowClient, run: azft.Run) -> Any:
    """Return the run in MLflow, None if it is not there yet."""
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    runs = client.search_runs(experiments, f"tags.`azft.run` = '{run.id}'")
    return runs[0] if runs else None


def test_a_run_is_in_mlflow_while_it_trains_and_ends_with_its_real_times(tmp_path: Path) -> None:
    made = session(tmp_path, 60)
    plan = made.plan()
    run = made.submit(plan)
    client = client_of(made)
    while_it_trains = None
    events: list[azft.RunEvent] = []
    for event in made.backend.events(run):
        events.append(event)
        if while_it_trains is None and event.stage == "finetune" and event.step >= 2:
            there = found(client, run)
            if there is not None and "loss" in there.data.metrics:
                while_it_trains = there
    assert while_it_trains is not None
    assert while_it_trains.info.status == "RUNNING"
    assert while_it_trains.data.params["max_steps"] == "60"
    ended = found(client, run)
    assert ended.info.status == "FINISHED"
    worked = [e.time for e in events if e.kind in ("stage", "status")]
    lasted = (ended.info.end_time - ended.info.start_time) / 1000
    assert lasted > 0.5 * (max(worked) - min(worked))
    told = {event.step for event in events if "loss" in event.values}
    assert {metric.step for metric in client.get_metric_history(ended.info.run_id, "loss")} == told
    inputs = {entry.tags[0].value: entry.dataset for entry in ended.inputs.dataset_inputs}
    assert set(inputs) == {"training", "validation", "testing"}
    assert inputs["training"].name == "ultrachat_sample"
    assert "loss.png" in [artifact.path for artifact in client.list_artifacts(ended.info.run_id)]
    assert ended.data.metrics["tuned_loss"] > 0


@pytest.mark.slow
def test_a_run_that_is_canceled_says_so(tmp_path: Path) -> None:
    made = session(tmp_path, 2000)
    run = made.submit()
    client = client_of(made)
    for event in made.backend.events(run):
        if event.stage == "finetune" and event.step >= 1:
            made.cancel(run)
    deadline = time.monotonic() + 30
    while found(client, run).info.status == "RUNNING" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert found(client, run).info.status == "KILLED"


def killed_at(made: azft.FineTuneSession, run: azft.Run, step: int) -> None:
    """Kill the run's worker once it is in MLflow, has reached a step and keeps a checkpoint of it."""
    client = client_of(made)
    for event in made.backend.events(run):
        if event.step >= step and "loss" in event.values:
            there = found(client, run)
            if there is not None and len(client.get_metric_history(there.info.run_id, "loss")) >= step:
                break
    worker = worker_of(made.folder, run.id)
    assert worker is not None
    worker.kill()
    worker.wait()


@pytest.mark.slow
def test_a_run_whose_worker_is_gone_ends_in_mlflow_too_when_it_is_canceled(tmp_path: Path) -> None:
    made = session(tmp_path, 2000)
    run = made.submit()
    killed_at(made, run, 1)
    assert found(client_of(made), run).info.status == "RUNNING"
    made.cancel(run)
    assert made.backend.result(run).status is azft.RunStatus.CANCELED
    assert found(client_of(made), run).info.status == "KILLED"


@pytest.mark.slow
def test_a_run_that_goes_on_after_a_kill_has_each_step_once(tmp_path: Path) -> None:
    made = session(tmp_path, 120)
    run = made.submit()
    killed_at(made, run, 12)
    # Killed between the log and MLflow: a step is in the log that MLflow was never told, and it will be told again.
    log = made.folder / "runs" / run.id / "events.jsonl"
    last = max((event for event in read_events(log) if "loss" in event.values), key=lambda event: event.step)
    assert last.step < 120
    with log.open("ab") as file:
        file.write(to_json(evolve(last, step=last.step + 1)) + b"\n")
    assert made.watch(run).status is azft.RunStatus.COMPLETED
    client = client_of(made)
    ended = found(client, run)
    assert ended.info.status == "FINISHED"
    steps = [point.step for point in client.get_metric_history(ended.info.run_id, "loss")]
    assert sorted(steps) == list(range(1, 121))
