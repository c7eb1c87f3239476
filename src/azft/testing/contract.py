"""What every backend must do, as one pytest suite.

Subclass `BackendContract` in a test module and give it a `backend` fixture; small real runs are made, about half a
minute of work each on two cores.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import pytest
from attrs import evolve

from azft.discovery import load_plugins
from azft.domain.job import Job
from azft.domain.parameters import ParameterValue
from azft.domain.resource import RegisteredModel, Resource
from azft.domain.run import Run, RunStatus
from azft.domain.specs import DatasetSpec, ModelSpec
from azft.errors import NameTakenError, NotFoundError, NotOursError, RunError
from azft.flow.build import PipelineBuilder
from azft.flow.plan import Planner
from azft.flow.prepare import DatasetPreparer
from azft.plugins.catalogue import Catalogue
from azft.ports import Backend

SAMPLE = DatasetSpec("contract", "sample://ultrachat", train_split="train_sft", test_split="test_sft")
MODEL = ModelSpec("Phi-4")
MARK = "contract-mark"
LATE = 60.0
"""Seconds by which a watch that was given half a second must have ended, on the slowest machine."""


PARAMETERS: Mapping[str, ParameterValue] = {
    "num_train_epochs": 1,
    "logging_steps": 1,
    "learning_rate": 5e-3,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 32,
    "precision": "32",
}


def small_job(backend: Backend, folder: Path, *, compute: str = "", epochs: int = 1, percent: float = 8) -> Job:
    """Return a job of a few dozen conversations, prepared below `folder`."""
    plugins = load_plugins()
    plan = Planner(backend, plugins).plan(
        MODEL,
        SAMPLE,
        naming=Catalogue(plugins).naming_schemes.pick("tutorial"),
        compute=compute,
        parameters={**PARAMETERS, "num_train_epochs": epochs},
    )
    data = DatasetPreparer(folder, percent=percent, plugins=plugins).prepare(SAMPLE)
    return PipelineBuilder().build(plan, data)


class BackendContract:
    """The suite; one completed run serves most of it. `compute` names where jobs run, empty for the default."""

    compute = ""

    @pytest.fixture(scope="class")
    @classmethod
    def completed(cls, backend: Backend, tmp_path_factory: pytest.TempPathFactory) -> Run:
        """Return a run that has completed."""
        run = backend.submit(small_job(backend, tmp_path_factory.mktemp("data"), compute=cls.compute))
        statuses = [event.message for event in backend.events(run) if event.kind == "status"]
        assert statuses[-1] == RunStatus.COMPLETED, backend.result(run)
        return run

    @pytest.fixture(scope="class")
    @classmethod
    def registered(cls, backend: Backend, completed: Run) -> RegisteredModel:
        """Return the registered model of that run."""
        return backend.register(completed, "contract-model", {"origin": "contract"})

    def test_a_model_of_the_registry_is_found_with_its_defaults(self, backend: Backend) -> None:
        """The model has a name and defaults."""
        model = backend.find_model(MODEL)
        assert model.name == MODEL.name
        assert model.defaults

    def test_a_compute_that_does_not_exist_is_none(self, backend: Backend) -> None:
        """No exception stands for absence."""
        assert backend.find_compute("no-such-compute") is None

    def test_the_component_has_the_inputs_of_fine_tuning(self, backend: Backend) -> None:
        """The inputs that every plan sets are there."""
        known = {spec.name for spec in backend.component().inputs}
        assert {"learning_rate", "num_train_epochs", "apply_lora", "train_file_path"} <= known

    def test_events_tell_the_whole_story_to_every_watcher(self, backend: Backend, completed: Run) -> None:
        """A second watcher sees what the first one saw, from the first event on."""
        events = list(backend.events(completed))
        assert events == list(backend.events(completed))
        assert [event.time for event in events] == sorted(event.time for event in events)
        assert any(event.kind == "progress" and "loss" in event.values for event in events)

    def test_a_run_is_found_by_its_id(self, backend: Backend, completed: Run) -> None:
        """Only the id is needed."""
        assert backend.find_run(completed.id) == completed

    @pytest.mark.parametrize("run_id", ["run-000000000000", "../escape", ""])
    def test_an_unknown_run_is_not_found(self, backend: Backend, run_id: str) -> None:
        """Ids that could be paths are refused the same way."""
        with pytest.raises(NotFoundError):
            backend.find_run(run_id)

    def test_the_result_has_metrics_and_the_evaluation_both_models(self, backend: Backend, completed: Run) -> None:
        """Base and tuned are scored on the same conversations."""
        assert backend.result(completed).metrics["loss"] > 0
        report = backend.evaluation(completed)
        assert report.conversations > 0
        assert report.tuned.loss < report.base.loss

    def test_a_run_is_registered_once(self, backend: Backend, completed: Run, registered: RegisteredModel) -> None:
        """The same run under the same name gives the same version."""
        assert backend.register(completed, "contract-model", {"origin": "again"}) == registered
        assert registered.tags["origin"] == "contract"

    def test_a_run_stands_where_it_stands_and_none_is_none(self, backend: Backend, completed: Run) -> None:
        """`state` tells status and key of what is there, and None of what never was."""
        state = backend.state(completed.id)
        assert state is not None
        assert (state.status, state.deleted, state.run) == (RunStatus.COMPLETED, False, completed)
        assert backend.state("run-000000000000") is None

    def test_the_same_job_under_the_same_id_makes_no_second_run(
        self, backend: Backend, completed: Run, tmp_path: Path
    ) -> None:
        """A repeated request, and another client with the same plan, find the run; another job is refused."""
        job = evolve(small_job(backend, tmp_path, compute=self.compute), id="contract-once", key="contract-key")
        run = backend.submit(job)
        try:
            assert backend.submit(job) == run
            with pytest.raises(NameTakenError):
                backend.submit(evolve(job, key="another"))
        finally:
            backend.cancel(run)
            list(backend.events(run))

    def test_what_was_made_is_found_by_its_marks_and_goes_only_with_its_token(
        self, backend: Backend, registered: RegisteredModel
    ) -> None:
        """A name without the mark is somebody else's: neither taken over nor deleted."""
        endpoint = backend.deploy(registered, "contract-marks", tags={"azft.token": MARK})
        resource = endpoint.resource
        try:
            found = {item.resource: item.resource.token for item in backend.leftovers()}
            assert found[resource] == MARK
            with pytest.raises(NameTakenError):
                backend.deploy(registered, "contract-marks")
            with pytest.raises(NotOursError):
                backend.delete(evolve(resource, token=MARK[::-1]))
            assert backend.ask(endpoint, [{"role": "user", "content": "Hi"}], max_tokens=2) is not None
        finally:
            backend.delete(evolve(resource, token=MARK))
        assert resource not in {item.resource for item in backend.leftovers()}

    def test_an_endpoint_answers_and_goes(self, backend: Backend, registered: RegisteredModel) -> None:
        """Deleting it twice is fine."""
        endpoint = backend.deploy(registered)
        resource = Resource("endpoint", endpoint.name, backend.name)
        try:
            answer = backend.ask(endpoint, [{"role": "user", "content": "What is LoRA?"}], max_tokens=8)
        finally:
            backend.delete(resource)
        assert isinstance(answer, str)
        assert endpoint.key not in repr(endpoint)
        backend.delete(resource)

    def test_a_canceled_run_ends_and_has_no_model(self, backend: Backend, tmp_path: Path) -> None:
        """A watch that is given little time ends in it; canceling twice is fine; nothing can be evaluated from it."""
        run = backend.submit(small_job(backend, tmp_path, compute=self.compute, epochs=50))
        began = time.monotonic()
        seen = [event.message for event in backend.events(run, timeout=0.5) if event.kind == "status"]
        assert time.monotonic() - began < LATE
        assert not any(RunStatus(said).ended for said in seen)
        backend.cancel(run)
        backend.cancel(run)
        assert [event.message for event in backend.events(run) if event.kind == "status"][-1] == RunStatus.CANCELED
        with pytest.raises(RunError):
            backend.evaluation(run)
        with pytest.raises(RunError):
            backend.register(run, "contract-canceled", {})
