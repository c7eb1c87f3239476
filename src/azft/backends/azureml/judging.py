"""Base against tuned as a job of its own, on a machine of the kind that trained: nothing large comes back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from attrs import frozen

from azft.backends.azureml.attempts import is_command_job
from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import TUNED, Commands, Judging
from azft.backends.azureml.comparing import base_place
from azft.backends.azureml.errors import translated
from azft.backends.azureml.jobs import DATA, MODEL_NAME, NODES, SIZE, TRAINER, WHERE, fitting
from azft.backends.azureml.storage import Storage, upload_path
from azft.domain.data import DataFile
from azft.domain.run import Run
from azft.domain.splits import SPLITS
from azft.errors import NotFoundError, UnsupportedError
from azft.rules.marks import KEY

JUDGES = "evaluation"
"""What the tag says that tells what trains."""


def judging_id(run: Run, questions: Sequence[Mapping[str, Any]]) -> str:
    """Return the name of the job: the same comparison finds the job that was made for it."""
    return f"{run.id}-{JUDGES}-{_digest(questions)[:8]}"


def questions_upload(questions: Sequence[Mapping[str, Any]]) -> str:
    """Return where in the store the questions will lie."""
    return upload_path(DataFile(Path("questions.jsonl"), len(questions), _digest(questions)))


@frozen
class Judge:
    """Starts comparisons in one workspace."""

    clients: Clients
    commands: Commands

    def submit(self, run: Run, job: Any, questions: Sequence[Mapping[str, Any]], tags: Mapping[str, str]) -> Run:
        """Start the job that compares the models of a completed run, and return it; one that is there is returned."""
        name = judging_id(run, questions)
        with TemporaryDirectory(prefix="azft-") as folder, translated(f"evaluating {run.id}"):
            told, storage = _told(self.clients, run, job), Storage(self.clients)
            if not all(storage.has(address.partition("/paths/")[2]) for address in told.files.values()):
                raise NotFoundError(
                    f"the data of {run.id} was deleted, so nothing can be compared on it", hint="submit the plan again"
                )
            path = Path(folder) / "questions.jsonl"
            path.write_bytes(_lines(questions))
            file = DataFile(path, len(questions), _digest(questions))
            storage.upload(file, tags=tags)
            built = self.commands.judging(name, told, storage.address(file), Path(folder) / "code")
            where = {WHERE: told.compute, SIZE: told.size, NODES: "1", TRAINER: JUDGES, MODEL_NAME: run.model_name}
            data = {f"{DATA}{split}": address for split, address in told.files.items()}
            built.tags = fitting({**tags, **where, **data, KEY: name})
            made = self.clients.workspace.jobs.create_or_update(built, experiment_name=run.experiment)
        return Run(str(made.name), "azureml", str(made.display_name), run.experiment, run.model_name)


def _told(clients: Clients, run: Run, job: Any) -> Judging:
    tags = dict(job.tags or {})
    files = {split: str(tags.get(f"{DATA}{split}", "")) for split in SPLITS}
    if not all(files.values()) or not tags.get(WHERE):
        raise NotFoundError(f"azft did not submit {run.id}, so its data and its machines are not known")
    if is_command_job(job):
        base, kind = str(job.inputs["model"].path), "mlflow_model"
    else:
        store = files["test"].partition("/datastores/")[2].partition("/")[0]
        base, kind = f"azureml://datastores/{store}/paths/{base_place(clients, run)}", "uri_folder"
    if not base:
        raise UnsupportedError(f"the base model of {run.id} is not known")
    tuned = f"azureml://jobs/{job.name}/outputs/{TUNED}"
    return Judging(run, base, kind, tuned, files, str(tags[WHERE]), str(tags.get(SIZE, "")))


def _lines(questions: Sequence[Mapping[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(question) + b"\n" for question in questions)


def _digest(questions: Sequence[Mapping[str, Any]]) -> str:
    return hashlib.sha256(_lines(questions)).hexdigest()
