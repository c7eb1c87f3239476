"""A job as a pipeline of Azure ML: built with the SDK, submitted, found, canceled."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve

from azft.backends.azureml.attempts import FIRST, Attempts, is_command_job, number_of, stands
from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import ORDER, TUNED, Commands, checkpoint_path, order_bytes
from azft.backends.azureml.components import Components
from azft.backends.azureml.errors import done_away, translated
from azft.backends.azureml.internals import current_cloud, raw_job
from azft.backends.azureml.states import status_of
from azft.backends.azureml.storage import CHECKPOINTED, Storage, upload_path
from azft.domain.data import DataFile
from azft.domain.job import Job
from azft.domain.pipelines import GPUS, first_of
from azft.domain.plan import nodes_of
from azft.domain.resource import Leftover, Resource
from azft.domain.run import Run, RunState, RunStatus
from azft.domain.splits import SPLITS
from azft.domain.trainers import PIPELINE
from azft.errors import (
    ConfigurationError,
    InUseError,
    NameTakenError,
    NotFoundError,
    NotOursError,
    UnsupportedError,
)
from azft.rules.marks import KEY, TOKEN, is_ours
from azft.rules.parameters import COMPONENT
from azft.waiting import Attempt, looked_for, wait_until

STOPPED_WITHIN = 60.0
"""Seconds to wait for a job to stop before what it keeps is deleted."""
TRAINER = "azft.trainer"
"""The tag that says what trains."""
MODEL_NAME = "azft.model_name"
DATA = "azft.data."
"""Before "train", "validation" and "test": the tags that say where the job's data is."""
WHERE, SIZE, NODES = "azft.compute", "azft.size", "azft.nodes"
"""What the job runs on, for those who want to know why it waits and what it costs."""
MOST_TAGS, LONGEST_TAG = 47, 1000
"""Tags of a run and characters of a value: 50, of which MLflow takes one (resource-limits-capacity, 2025-02).

Two more are added later, where a job takes the place of another and where it is given up.
"""


class AzureJobs:
    """The jobs of a workspace."""

    def __init__(self, clients: Clients, components: Components, commands: Commands) -> None:
        self._clients = clients
        self._components = components
        self._commands = commands
        self.attempts = Attempts(clients)

    def uploads(self, job: Job) -> tuple[str, ...]:
        """Return where the job's files will lie in the workspace's store."""
        return tuple(dict.fromkeys(upload_path(file) for file in self._files(job, Path()).values()))

    def submit(self, job: Job) -> Run:
        """Upload the data and submit the job, under a name of ours: a PUT that is repeated makes no second job.

        Errors: `NameTakenError` where a job of that id is there and is not this one.
        """
        identity = job.id or f"azft-{uuid.uuid4().hex[:12]}"
        known = self.state(identity) if job.id else None
        if known is not None:
            if known.key and known.key == job.key and not known.deleted:
                return known.run
            raise NameTakenError(f"there is a job {identity!r} already, and it is another one", hint="give another id")
        job = evolve(job, id=identity, tags={TOKEN: uuid.uuid4().hex, **job.tags})
        # The SDK signs a job in once more, for the service itself; that token is fetched while the data goes up.
        Attempt(lambda: self._clients.credential.get_token(current_cloud().learning), "azft-token")
        with TemporaryDirectory(prefix="azft-") as folder:
            built = self._built(job, Path(folder))
            built.tags = fitting(built.tags)
            built.name = identity
            with translated("submitting the job"):
                made = self._clients.workspace.jobs.create_or_update(built, experiment_name=job.experiment)
        return Run(made.name, "azureml", job.display_name, job.experiment, job.model_name)

    def _built(self, job: Job, folder: Path) -> Any:
        """Return the SDK's job, its data in the store; both are done at the same time."""
        storage, files = Storage(self._clients), self._files(job, folder)
        addresses = {name: storage.address(file) for name, file in files.items()}
        with ThreadPoolExecutor(1, thread_name_prefix="azft-job") as aside:
            if is_command(job):
                code = folder / "code"
                building = aside.submit(self._commands.built, job, job.id, addresses, storage.name, code)
            else:
                building = aside.submit(self._pipeline, job, addresses)
            storage.upload(*files.values(), tags=job.tags)
        built = building.result()
        where = {WHERE: job.compute.name, SIZE: job.compute.size, NODES: str(nodes_of(job.parameters))}
        built.tags = {**job.tags, MODEL_NAME: job.model_name, **where}
        if is_command(job) or job.trainer.kind == PIPELINE:
            built.tags[TRAINER] = job.trainer.kind if is_command(job) else job.component
        built.tags |= {f"{DATA}{name}": addresses[name] for name in SPLITS if name in addresses}
        built.tags |= {KEY: job.key} if job.key else {}
        return built

    def _files(self, job: Job, folder: Path) -> dict[str, DataFile]:
        """Return the files that go up with a job; its order is written to the folder, if there is one."""
        files = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
        if not is_command(job):
            return {split: files[split] for split in job.files.values()}
        content = order_bytes(job)
        path = folder / ORDER
        if folder.is_absolute():
            path.write_bytes(content)
        return {**files, "order": DataFile(path, 1, hashlib.sha256(content).hexdigest())}

    def find(self, run_id: str) -> Run:
        """Return the run of that id, whoever started it."""
        found = self.get(run_id)
        first = str((found.tags or {}).get(FIRST, ""))
        return _run(self.get(first) if first else found)

    def state(self, run_id: str) -> RunState | None:
        """Return where the run of that id stands, whichever of its jobs works; None if there never was one."""
        found = self.attempts.all_of(run_id) if _is_legal(run_id) else []
        if not found:
            return None
        made, last = found[0], found[-1]
        told, tags = made.properties, made.properties.tags or {}
        run = Run(made.name, "azureml", told.display_name or "", told.experiment_name or "", tags.get(MODEL_NAME, ""))
        created = getattr(made.system_data, "created_at", None)
        since = created.timestamp() if created else 0.0
        return RunState(run, stands(last), since, str(tags.get(KEY, "")), bool(told.is_archived))

    def get(self, run_id: str) -> Any:
        """Return the SDK's job; `NotFoundError` if there is none."""
        if not _is_legal(run_id):
            raise NotFoundError(f"run {run_id!r} cannot exist", hint="ids are letters, digits, '-' and '_'")
        with translated(f"run {run_id!r}"):
            return self._clients.workspace.jobs.get(run_id)

    def stop(self, name: str) -> None:
        """Ask one job to stop, and return once Azure has taken the request; one that is gone is `NotFoundError`."""
        with translated(f"canceling {name}"):
            client = self._clients.workspace
            what = f"job {name!r}"
            if not done_away(what, lambda: client.jobs.begin_cancel(name), lambda: raw_job(client, name)):
                raise NotFoundError(f"there is no {what}", hint="session.runs() lists those of this folder")

    def delete(self, run_id: str, token: str) -> None:
        """Stop the run and put its jobs out of sight, as Azure ML deletes none; a foreign one is left.

        Its checkpoints go first: nobody lists what an archived job has left.
        """
        if not _is_legal(run_id):
            return
        found = looked_for(lambda: self.attempts.all_of(run_id) or None)
        if found is None:
            return
        if not is_ours(found[0].properties.tags, token):
            raise NotOursError(f"job {run_id} was made by somebody else, so it is left")
        for made in found:
            if not status_of(made.properties.status).ended:
                self.stop(made.name)
        if is_command_job(found[0]):
            # What still runs would write on.
            wait_until(lambda: self._has_ended(found[-1].name), STOPPED_WITHIN)
            Storage(self._clients).remove_below(checkpoint_path(run_id))
        for made in found:
            with translated(f"archiving {made.name}"):
                self._clients.workspace.jobs.archive(made.name)

    def _has_ended(self, name: str) -> bool:
        made = self.attempts.raw(name)
        return made is None or status_of(made.properties.status).ended

    def remove_upload(self, path: str, token: str) -> None:
        """Delete a file that was sent for a job; `InUseError` while a job that has not ended reads it.

        Checkpoints whose run is out of sight are deleted as a whole.
        """
        run_id = path.removeprefix(f"{CHECKPOINTED}/")
        if run_id != path:
            if not all(status_of(made.properties.status).ended for made in self.attempts.all_of(run_id)):
                raise InUseError(f"{run_id} still writes them")
            Storage(self._clients).remove_below(path)
            return
        with translated("listing jobs"):
            for made in self._clients.workspace.jobs.list():
                reads = any(path in str(value) for name, value in (made.tags or {}).items() if name.startswith(DATA))
                if reads and not status_of(made.status).ended:
                    raise InUseError(f"{made.name} still reads it")
        Storage(self._clients).remove(path, token)

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every run that bears our marks and was not put out of sight, uploads, and checkpoints without a run.

        A job that was submitted again is its run.
        """
        with translated("listing jobs"):
            ours = [made for made in self._clients.workspace.jobs.list() if TOKEN in (made.tags or {})]
        latest: dict[str, Any] = {}
        for made in sorted(ours, key=lambda made: number_of(str(made.name))):
            latest[str(made.tags.get(FIRST) or made.name)] = made
        for name, made in latest.items():
            status = stands(made)
            created = getattr(made.creation_context, "created_at", None)
            size = str(made.tags.get(SIZE, "")) if status is RunStatus.RUNNING else ""
            nodes = str(made.tags.get(NODES, "0"))
            count = int(nodes) if size and nodes.isdecimal() else 0
            resource = Resource("run", name, "azureml", str(made.tags[TOKEN]))
            yield Leftover(resource, status, created.timestamp() if created else 0.0, size, count)
        storage = Storage(self._clients)
        for path, token, since in storage.uploaded():
            yield Leftover(Resource("upload", path, "azureml", token), "stored", since)
        for run_id in storage.checkpointed():
            if run_id not in latest:
                yield Leftover(Resource("upload", checkpoint_path(run_id), "azureml"), "stored")

    def _pipeline(self, job: Job, addresses: Mapping[str, str]) -> Any:
        """Return the pipeline with one step, the component, whose data is at the addresses of the splits."""
        from azure.ai.ml import Input
        from azure.ai.ml.dsl import pipeline

        if not job.model.id:
            raise UnsupportedError(f"model {job.model.name} has no id in a registry", hint="plan on this backend")
        gpus = first_of(GPUS, job.inputs)
        if gpus and not job.compute.gpus and job.parameters.explain(gpus).source == COMPONENT:
            raise ConfigurationError(
                f"nobody knows how many GPUs {job.compute.size or job.compute.name} has, so nothing is submitted",
                hint=f"give {gpus}=, or a size that azft's dated table knows",
            )
        places = {name: addresses[split] for name, split in job.files.items()}
        assets = {name: Input(type=kind, path=places.get(name, path)) for name, (kind, path) in job.assets.items()}
        component = self._components.entity(job.trainer.tunes, job.component_version)

        def fine_tune() -> dict[str, Any]:
            # A variable would give the step its name.
            outputs = component(**job.inputs, **assets).outputs
            return {TUNED: outputs[job.output]} if job.output else {}

        with translated("building the pipeline"):
            built: Any = pipeline(fine_tune, name=job.display_name)()
        built.display_name = job.display_name
        built.settings.force_rerun = True
        built.settings.continue_on_step_failure = False
        return built


def is_command(job: Job) -> bool:
    """Whether a job is one of azft's engine or of a script, and none of a pipeline."""
    return job.trainer.own


def _is_legal(run_id: str) -> bool:
    return bool(run_id) and set(run_id) <= _LEGAL


def _run(made: Any) -> Run:
    tags = made.tags or {}
    return Run(made.name, "azureml", made.display_name or "", made.experiment_name or "", tags.get(MODEL_NAME, ""))


def fitting(tags: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags as the service takes them: our own first, values cut where they are too long.

    >>> len(fitting({f"t{n}": "x" * 2000 for n in range(60)})), len(fitting({"a": "x" * 2000})["a"])
    (47, 1000)
    """
    ours = sorted(tags, key=lambda name: not name.startswith("azft."))
    return {name: _cut(str(tags[name])) for name in ours[:MOST_TAGS]}


def _cut(value: str) -> str:
    return value if len(value) <= LONGEST_TAG else f"{value[: LONGEST_TAG - 3]}..."


_LEGAL = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")
