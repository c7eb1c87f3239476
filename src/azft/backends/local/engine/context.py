"""What every stage is given."""

from __future__ import annotations

from pathlib import Path

from attrs import frozen

from azft.backends.local.events import EventLog
from azft.backends.local.home import Home
from azft.domain.job import Job


class CanceledError(Exception):
    """The user canceled the run."""


@frozen
class StageContext:
    """The run's folder, the backend's home, the job, and the event log."""

    folder: Path
    home: Home
    job: Job
    events: EventLog

    @property
    def trusted(self) -> bool:
        """Whether the user lets the model's own code run."""
        return self.job.model.trust_remote_code or self.job.parameters.flag("trust_remote_code")

    def stop_if_canceled(self) -> None:
        """Raise `CanceledError` if the user left a note."""
        if (self.folder / "cancel").exists():
            raise CanceledError
