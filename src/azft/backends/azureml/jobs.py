"""A job as a pipeline of Azure ML: built with the SDK, submitted, found, canceled."""

from __future__ import annotations

import uuid
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.components import Components
from azft.backends.azureml.computes import SERVERLESS
from azft.backends.azureml.errors import translated
from azft.backends.azureml.storage import Storage
from azft.domain.job import Job
from azft.domain.run import Run
from azft.errors import NotFoundError, UnsupportedError
from azft.rules.inputs import encode
from azft.rules.parameters import COMPONENT

OUTPUT = "trained_model"
MODEL_NAME = "azft.model_name"
DATA = "azft.data."
"""Before "train", "validation" and "test": the tags that say where the job's data is."""
_WHERE = ("compute_model_import", "compute_preprocess", "compute_finetune")
_SIZES = ("instance_type_model_import", "instance_type_preprocess", "instance_type_finetune")


class AzureJobs:
    """The jobs of a workspace."""

    def __init__(self, clients: Clients, components: Components) -> None:
        self._clients = clients
        self._components = components

    def submit(self, job: Job) -> Run:
        """Upload the data and submit the pipeline, under a name of ours: a PUT that is repeated makes no second job."""
        from azure.ai.ml import Input

        files = Storage(self._clients).upload(job.data.train, job.data.validation, job.data.test)
        names = ("train_file_path", "validation_file_path", "test_file_path")
        data = {name: Input(type="uri_file", path=path) for name, path in zip(names, files, strict=True)}
        built = self._pipeline(job, {**self._inputs(job), **data})
        built.tags |= {f"{DATA}{name}": path for name, path in zip(("train", "validation", "test"), files, strict=True)}
        built.name = f"azft-{uuid.uuid4().hex[:12]}"
        with translated("submitting the job"):
            made = self._clients.workspace.jobs.create_or_update(built, experiment_name=job.experiment)
        return Run(made.name, "azureml", job.display_name, job.experiment, job.model_name)

    def find(self, run_id: str) -> Run:
        """Return the run of that id, whoever started it."""
        made = self.get(run_id)
        tags = made.tags or {}
        return Run(made.name, "azureml", made.display_name or "", made.experiment_name or "", tags.get(MODEL_NAME, ""))

    def get(self, run_id: str) -> Any:
        """Return the SDK's job; `NotFoundError` if there is none."""
        if not run_id or not set(run_id) <= _LEGAL:
            raise NotFoundError(f"run {run_id!r} cannot exist", hint="ids are letters, digits, '-' and '_'")
        with translated(f"run {run_id!r}"):
            return self._clients.workspace.jobs.get(run_id)

    def cancel(self, run_id: str) -> None:
        """Ask the job to stop, and return once Azure has taken the request."""
        with translated(f"canceling {run_id}"):
            self._clients.workspace.jobs.begin_cancel(run_id)

    def archive(self, run_id: str) -> None:
        """Put the job out of sight; Azure ML deletes no job."""
        with translated(f"archiving {run_id}"):
            self._clients.workspace.jobs.archive(run_id)

    def _inputs(self, job: Job) -> dict[str, Any]:
        """Return what the component is told beside the data: only what somebody chose, encoded as it wants it."""
        component = self._components.of(job.component_version)
        if not job.model.id:
            raise UnsupportedError(f"model {job.model.name} has no id in a registry", hint="plan on this backend")
        inputs: dict[str, Any] = {}
        for entry in job.parameters.entries:
            spec = component.input(entry.name)
            if entry.source != COMPONENT and spec is not None and entry.value is not None:
                inputs[entry.name] = encode(spec, entry.value)
        serverless = job.compute.name == SERVERLESS
        known = {spec.name for spec in component.inputs}
        where = dict.fromkeys(_WHERE, job.compute.name)
        sizes = dict.fromkeys(_SIZES, job.compute.size) if serverless else {}
        gpus = {"number_of_gpu_to_use_finetuning": max(job.compute.gpus, 1)}
        fixed = {name: value for name, value in {**gpus, **where, **sizes}.items() if name in known}
        return {**fixed, **inputs, "mlflow_model_path": _model_input(job.model.id)}

    def _pipeline(self, job: Job, inputs: dict[str, Any]) -> Any:
        from azure.ai.ml.dsl import pipeline

        component = self._components.entity(job.component_version)

        def fine_tune() -> dict[str, Any]:
            return {OUTPUT: component(**inputs).outputs.mlflow_model_folder}

        with translated("building the pipeline"):
            built: Any = pipeline(fine_tune, name=job.display_name)()
        built.display_name = job.display_name
        built.settings.force_rerun = True
        built.settings.continue_on_step_failure = False
        built.tags = {**job.tags, MODEL_NAME: job.model_name}
        return built


def _model_input(identity: str) -> Any:
    from azure.ai.ml import Input

    return Input(type="mlflow_model", path=identity)


_LEGAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
