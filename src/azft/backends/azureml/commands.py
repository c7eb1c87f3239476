"""A job of azft's engine, or of a script, as a command job: its code, its processes, what it reads and what it keeps.

Azure ML starts the command once a process itself (its distribution "PyTorch"), so no launcher stands in between. Words
and limits: azure-ai-ml 1.35 `command()`, Microsoft, Distributed training with Azure ML (2025), the schema of command
jobs (2025).
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

import azft
from azft.backends.azureml.environments import Environments, environment_of
from azft.backends.azureml.launching import Launching
from azft.backends.azureml.storage import CHECKPOINTED
from azft.domain.compute import SERVERLESS
from azft.domain.job import Job
from azft.domain.jsonable import to_json
from azft.domain.plan import nodes_of
from azft.domain.run import Run
from azft.domain.splits import SPLITS
from azft.domain.trainers import Script
from azft.errors import UnsupportedError
from azft.files import code_files
from azft.rules.devices import processes_used
from azft.snapshot import job_environment
from azft.stages.order import CODE, order_of

ORDER = "order.json"
TUNED, REPORT, CHECKPOINTS = "trained_model", "report", "checkpoints"
"""The outputs of such a job."""
SHARED_MEMORY = "shm_size_finetune"
PARTS = (
    "__init__.py",
    "domain",
    "engine",
    "errors.py",
    "escapes.py",
    "files.py",
    "processes.py",
    "rules",
    "stages",
    "training",
    "variables.py",
    "views",
    "waiting.py",
)
"""What of azft goes along: what a training needs, and nothing of Azure, of a session, or of this machine."""
_READ = ("order", "model", "train", "validation", "test")
_KEPT = {"checkpoints": CHECKPOINTS, "tuned": TUNED, "report": REPORT}


def order_bytes(job: Job) -> bytes:
    """Return the content of the file that tells the job what to do."""
    return to_json(order_of(job))


def checkpoint_path(run_id: str) -> str:
    """Return where in the store the checkpoints of a run are: in one place, whichever job of it works."""
    return f"{CHECKPOINTED}/{run_id}"


@frozen
class Judging:
    """What a comparison needs to know of a run: where its two models and its files are, and where it ran."""

    run: Run
    base: str
    base_type: str
    tuned: str
    files: Mapping[str, str]
    compute: str
    size: str


@frozen
class Commands:
    """Builds command jobs for one workspace."""

    environments: Environments
    launching: Launching

    def built(self, job: Job, run_id: str, addresses: Mapping[str, str], store: str, folder: Path) -> Any:
        """Return the SDK's job; `folder` holds its code until it is submitted, and `addresses` are those of its files.

        Errors: `UnsupportedError` for a model that no registry has.
        """
        from azure.ai.ml import Input, Output, PyTorchDistribution, command

        if not job.model.id:
            raise UnsupportedError(f"model {job.model.name} has no id in a registry", hint="plan on this backend")
        how = self.launching
        processes = processes_used(job.parameters, job.compute.gpus)
        lay_out_code(folder, job.trainer.script)
        kept = f"azureml://datastores/{store}/paths/{checkpoint_path(run_id)}/"
        return command(
            name=run_id,
            display_name=job.display_name,
            experiment_name=job.experiment,
            code=str(folder),
            command=command_line(processes),
            environment=how.environment or self.environments.made(environment_of(job.trainer)),
            inputs={
                "order": Input(type="uri_file", path=addresses["order"], mode="download"),
                "model": Input(type="mlflow_model", path=job.model.id, mode="download"),
                **{split: Input(type="uri_file", path=addresses[split], mode="ro_mount") for split in SPLITS},
            },
            outputs={**own_outputs(), CHECKPOINTS: Output(type="uri_folder", path=kept, mode="rw_mount")},
            distribution=PyTorchDistribution(process_count_per_instance=processes),
            instance_count=nodes_of(job.parameters),
            shm_size=job.parameters.text(SHARED_MEMORY),
            **self.placed(job.compute.name, job.compute.size),
        )

    def judging(self, name: str, told: Judging, questions: str, folder: Path) -> Any:
        """Return the SDK's job that compares two models; `questions` is the address of a file of them.

        It needs no training's code, and takes one process on one machine of the run's own kind.
        """
        from azure.ai.ml import Input, Output, command

        lay_out_code(folder, None)
        files = {split: Input(type="uri_file", path=path, mode="ro_mount") for split, path in told.files.items()}
        return command(
            name=name,
            display_name=f"{told.run.display_name}, evaluation",
            experiment_name=told.run.experiment,
            code=str(folder),
            command=" ".join(
                [
                    "python -m azft.stages.judge",
                    *(f"--{name} ${{{{inputs.{name}}}}}" for name in ("base", "tuned", *files, "questions")),
                    f"--report ${{{{outputs.{REPORT}}}}}",
                ]
            ),
            environment=self.launching.environment or self.environments.made(job_environment()),
            inputs={
                "base": Input(type=told.base_type, path=told.base, mode="download"),
                "tuned": Input(type="mlflow_model", path=told.tuned, mode="download"),
                "questions": Input(type="uri_file", path=questions, mode="download"),
                **files,
            },
            outputs={REPORT: Output(type="uri_folder", mode="rw_mount")},
            **self.placed(told.compute, told.size),
        )

    def placed(self, compute: str, size: str) -> dict[str, Any]:
        """Return where a job runs, as whom, and for how long at most."""
        from azure.ai.ml.entities import ManagedIdentityConfiguration, UserIdentityConfiguration

        how, serverless = self.launching, compute == SERVERLESS
        # Serverless machines have no identity of their own.
        identity = how.identity or ("user" if serverless else "")
        kinds = {"user": UserIdentityConfiguration, "managed": ManagedIdentityConfiguration}
        return {
            "compute": None if serverless else compute,
            "instance_type": size if serverless else None,
            "job_tier": how.tier if serverless else None,
            "timeout": round(how.timeout) or None,
            "identity": kinds[identity]() if identity else None,
        }


def own_outputs() -> dict[str, Any]:
    """Return the outputs that each job has a place of its own for: the model, and the report."""
    from azure.ai.ml import Output

    return {
        TUNED: Output(type="mlflow_model", mode="rw_mount"),
        REPORT: Output(type="uri_folder", mode="rw_mount"),
    }


def command_line(processes: int) -> str:
    """Return the command of each process.

    >>> command_line(2)[:60]
    'python -m azft.stages.node --processes 2 --order ${{inputs.o'
    """
    read = [f"--{name} ${{{{inputs.{name}}}}}" for name in _READ]
    kept = [f"--{name} ${{{{outputs.{output}}}}}" for name, output in _KEPT.items()]
    return " ".join([f"python -m azft.stages.node --processes {processes}", *read, *kept])


def lay_out_code(folder: Path, script: Script | None) -> None:
    """Put what of azft goes along into a folder, and the script's code beside it; the same code is the same files."""
    package = Path(azft.__file__).parent
    for name in PARTS:
        source, target = package / name, folder / "azft" / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    for name, file in code_files(script.path, script.code).items() if script is not None else ():
        target = folder / CODE / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
