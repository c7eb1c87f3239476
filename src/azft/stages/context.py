"""What every stage is given."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Protocol

from attrs import frozen

from azft.domain.evaluation import EvaluationReport
from azft.domain.job import Job
from azft.rules.engine_inputs import DATE
from azft.training.events import EventLog
from azft.training.task import CanceledError, Task, TaskFile

OUTPUT = "output"
"""Where a script puts its result, until it is the run's."""


class Live(Protocol):
    """Tells others of the run while it lasts."""

    def update(self, *, now: bool = False) -> None:
        """Pass on what is new, at most every few seconds unless it is to be `now`."""
        ...

    def record(self, report: EvaluationReport, outputs: Path) -> None:
        """Pass on the scores, `loss.png` and `model` of the folder."""
        ...


class Untracked:
    """What a process has that trains beside others: the one that waits for them tells of the run."""

    def update(self, *, now: bool = False) -> None:
        """Do nothing."""

    def record(self, report: EvaluationReport, outputs: Path) -> None:
        """Do nothing."""


@frozen
class StageContext:
    """The run's folder, where dequantised weights are kept for the next run, the job, the events, and whom to tell."""

    folder: Path
    weights: Path
    job: Job
    events: EventLog
    live: Live

    @property
    def task(self) -> Task:
        """What a training is given of the run."""
        data = self.job.data
        file = TaskFile(
            self.folder / "import",
            self.folder / "preprocess",
            {"train": data.train.path, "validation": data.validation.path, "test": data.test.path},
            self.folder / "checkpoints",
            self.folder / OUTPUT,
            self.events.path,
            self.folder / "cancel",
            self.job.parameters,
            self.job.key,
            self.trusted,
        )
        return Task(file, self.events, heard=self.live.update)

    @property
    def trusted(self) -> bool:
        """Whether the user lets the model's own code run."""
        return self.job.model.trust_remote_code or self.job.parameters.flag("trust_remote_code")

    @property
    def day(self) -> datetime | None:
        """The date that a chat template is told which writes one, the same for every stage and every resumption."""
        parameters = self.job.parameters
        said = parameters.text(DATE) if DATE in parameters else ""
        return datetime.fromisoformat(said) if said else None

    def stop_if_canceled(self) -> None:
        """Raise `CanceledError` if the user left a note."""
        if (self.folder / "cancel").exists():
            raise CanceledError
