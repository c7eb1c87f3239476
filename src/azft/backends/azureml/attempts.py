"""The jobs of one run: the first bears the run's id, and each that takes the place of a failed one a number behind it.

Only jobs of azft's engine and of scripts, which are commands, have others behind them: a pipeline keeps nothing to go
on from.
"""

from __future__ import annotations

from itertools import count
from typing import Any

from attrs import frozen

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.commands import CHECKPOINTS, own_outputs
from azft.backends.azureml.errors import absent, translated
from azft.backends.azureml.internals import raw_job
from azft.backends.azureml.states import status_of
from azft.domain.run import RunStatus

AGAIN = "-again-"
FIRST = "azft.run"
"""The tag of a job that was submitted again: the run that it works for."""
STOPPED = "azft.stopped"
"""The tag of a failed job that no other takes the place of: its run was canceled while it waited for one."""
COMMAND = "command"


@frozen
class Attempts:
    """The jobs of each run of a workspace."""

    clients: Clients

    def raw(self, name: str) -> Any:
        """Return a job as the wire has it, None if there is none of that name."""
        with translated(f"run {name!r}"):
            return absent(lambda: raw_job(self.clients.workspace, name))

    def all_of(self, run_id: str) -> list[Any]:
        """Return the jobs of a run as the wire has them, the first one first; none where there is no such run.

        Others are asked for only behind a command that has failed.
        """
        found = [made] if (made := self.raw(run_id)) is not None else []
        for number in count(1) if found else ():
            if not _may_have_followed(found[-1]):
                break
            following = self.raw(restarted(run_id, number))
            if following is None:
                break
            found.append(following)
        return found

    def last(self, run_id: str) -> str:
        """Return the name of the job that works for a run, or that worked for it last."""
        found = self.all_of(run_id)
        return str(found[-1].name) if found else run_id

    def give_up(self, name: str) -> None:
        """Say of a failed job that no other is to take its place."""
        with translated(f"canceling {name}"):
            jobs = self.clients.workspace.jobs
            made = jobs.get(name)
            made.tags = {**(made.tags or {}), STOPPED: "true"}
            jobs.create_or_update(made)

    def restart(self, run_id: str, number: int) -> str:
        """Submit the job of a run again for the so manieth time, and return its name.

        It goes on from the run's checkpoints. Whoever does the same at the same time makes the same job.
        """
        name = restarted(run_id, number)
        if self.raw(name) is not None:
            return name
        with translated(f"submitting {run_id} again"):
            jobs = self.clients.workspace.jobs
            before = jobs.get(run_id if number == 1 else restarted(run_id, number - 1))
            jobs.create_or_update(_again(before, name, run_id), experiment_name=before.experiment_name)
        return name


def restarted(run_id: str, number: int) -> str:
    """Return the name of the job that is submitted again for a run, for the so manieth time.

    >>> restarted("azft-0123456789ab", 2), number_of("azft-0123456789ab-again-2"), number_of("azft-0123456789ab")
    ('azft-0123456789ab-again-2', 2, 0)
    """
    return f"{run_id}{AGAIN}{number}"


def number_of(name: str) -> int:
    """Return how often a run had been submitted again when the job of that name was."""
    number = name.rpartition(AGAIN)[2] if AGAIN in name else ""
    return int(number) if number.isdecimal() else 0


def stands(made: Any) -> RunStatus:
    """Return how a job, of the wire or of the SDK, stands; a failed one whose run was canceled then is canceled."""
    told = made.properties if hasattr(made.properties, "status") else made
    status = status_of(told.status)
    return RunStatus.CANCELED if status is RunStatus.FAILED and STOPPED in (told.tags or {}) else status


def is_command_job(made: Any) -> bool:
    """Whether a job, of the SDK or of the wire, is a command."""
    told = getattr(made.properties, "job_type", None)
    return word(told or made.type).lower() == COMMAND


def _may_have_followed(made: Any) -> bool:
    return is_command_job(made) and status_of(made.properties.status) is RunStatus.FAILED


def _again(before: Any, name: str, run_id: str) -> Any:
    """Return the job that does the same, with nothing that the service has added to the one before."""
    from azure.ai.ml import Input, Output, command

    resources, limits, queue = before.resources, before.limits, before.queue_settings
    tier = str(getattr(queue, "job_tier", None) or "")
    kept = before.outputs[CHECKPOINTS]
    serverless = not before.compute
    made = command(
        name=name,
        display_name=before.display_name,
        experiment_name=before.experiment_name,
        code=before.code,
        command=before.command,
        environment=before.environment,
        inputs={key: Input(type=given.type, path=given.path, mode=given.mode) for key, given in before.inputs.items()},
        outputs={**own_outputs(), CHECKPOINTS: Output(type=kept.type, path=kept.path, mode=kept.mode)},
        distribution=before.distribution,
        instance_count=resources.instance_count,
        shm_size=resources.shm_size,
        compute=before.compute,
        instance_type=resources.instance_type if serverless else None,
        job_tier=tier if serverless and tier.lower() not in {"", "null"} else None,
        timeout=getattr(limits, "timeout", None),
        identity=before.identity,
    )
    made.tags = {**{name: value for name, value in (before.tags or {}).items() if name != STOPPED}, FIRST: run_id}
    return made
