"""Follow a run over all its jobs: one whose machines were taken away is submitted again, and goes on where it was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import count

from attrs import evolve, frozen

from azft.backends.azureml.failures import Ending
from azft.backends.azureml.jobs import AzureJobs, is_command_job, restarted
from azft.backends.azureml.watching import Watcher
from azft.domain.run import Run, RunEvent, RunStatus

TAKEN_AWAY = "AZFT-F001"
"""The code of the cause that is no fault of the job."""


@frozen
class Following:
    """Watches the jobs of a run; `restarts` is how often one is submitted again."""

    jobs: AzureJobs
    restarts: int
    watcher: Callable[[Run], Watcher]
    ending: Callable[[Run], Ending]

    def events(
        self, run: Run, *, poll: float, timeout: float | None, queue_timeout: float | None
    ) -> Iterator[RunEvent]:
        """Yield the events of all jobs; only the last one says how the run ended, and only the first that it began."""
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        current = run
        for number in count():
            left = None if timeout is None else max(0.0, deadline - time.monotonic())
            failed: RunEvent | None = None
            for event in self.watcher(current).events(poll=poll, timeout=left, queue_timeout=queue_timeout):
                if event.kind == "status" and event.message == RunStatus.FAILED:
                    failed = event
                elif number == 0 or event.kind != "status" or RunStatus(event.message).ended:
                    yield event
            if failed is None:
                return
            following = restarted(run.id, number + 1)
            if not self._goes_on(run, current, following, number):
                yield failed
                return
            said = f"its machines were taken away; submitted again as {following}, it goes on from its last checkpoint"
            yield RunEvent(failed.time, "warning", "", f"{said} ({number + 1} of at most {self.restarts})")
            current = evolve(run, id=following)

    def _goes_on(self, run: Run, current: Run, following: str, number: int) -> bool:
        """Return whether another job works for the run by now: one that was there, or one that is submitted here."""
        if not is_command_job(self.jobs.get(current.id)):
            return False
        if self.jobs.state(following) is not None:
            return True
        cause = self.ending(current).diagnosis
        if number >= self.restarts or cause is None or cause.code != TAKEN_AWAY:
            return False
        self.jobs.restart(run.id)
        return True
