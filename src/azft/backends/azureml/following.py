"""Follow a run over all its jobs: one whose machines were taken away is submitted again, and goes on where it was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from itertools import count

from attrs import evolve, frozen

from azft.backends.azureml.attempts import is_command_job, restarted, stands
from azft.backends.azureml.failures import Ending
from azft.backends.azureml.jobs import AzureJobs
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
        for number in count(1):
            left = None if timeout is None else max(0.0, deadline - time.monotonic())
            failed: RunEvent | None = None
            for event in self.watcher(current).events(poll=poll, timeout=left, queue_timeout=queue_timeout):
                if event.kind == "status" and event.message == RunStatus.FAILED:
                    failed = event
                elif number == 1 or event.kind != "status" or RunStatus(event.message).ended:
                    yield event
            if failed is None:
                return
            said = self._goes_on(run, current, number)
            if not said:
                yield evolve(failed, message=RunStatus.CANCELED) if self._was_given_up(current) else failed
                return
            current = evolve(run, id=restarted(run.id, number))
            yield RunEvent(failed.time, "warning", "", f"{said}; submitted again as {current.id}, it goes on from its "
                                                       "last checkpoint")  # fmt: skip

    def goes_on(self, run: Run) -> bool:
        """Return whether a run whose last job has failed is one that the next watch submits again."""
        found = self.jobs.attempts.all_of(run.id)
        if not found or not is_command_job(found[0]) or len(found) > self.restarts:
            return False
        if stands(found[-1]) is not RunStatus.FAILED or found[0].properties.is_archived:
            return False
        return self._was_taken(evolve(run, id=str(found[-1].name)))

    def cancel(self, run: Run) -> None:
        """Ask the job that works for a run to stop; one that waits for its next job gets none."""
        if self.goes_on(run):
            last = self.jobs.attempts.last(run.id)
            self.jobs.attempts.give_up(last)
            if self.jobs.attempts.last(run.id) == last:
                return
            # Somebody who watches has submitted it meanwhile.
        self.jobs.cancel(run.id)

    def _goes_on(self, run: Run, current: Run, number: int) -> str:
        """Return why another job works for the run, one that was there or one that is submitted here; empty if none."""
        first = self.jobs.attempts.raw(run.id)
        if first is None or not is_command_job(first):
            return ""
        ending = self.ending(current).diagnosis
        taken = ending is not None and ending.code == TAKEN_AWAY
        title = ending.title if ending is not None else "nobody knows why"
        why = "its machines were taken away" if taken else f"it failed ({title})"
        if self.jobs.attempts.raw(restarted(run.id, number)) is not None:
            return why
        if not taken or number > self.restarts or first.properties.is_archived:
            return ""
        if self._was_given_up(current):
            return ""
        self.jobs.attempts.restart(run.id, number)
        return f"{why} ({number} of at most {self.restarts} times)"

    def _was_given_up(self, run: Run) -> bool:
        made = self.jobs.attempts.raw(run.id)
        return made is not None and stands(made) is RunStatus.CANCELED

    def _was_taken(self, run: Run) -> bool:
        found = self.ending(run).diagnosis
        return found is not None and found.code == TAKEN_AWAY
