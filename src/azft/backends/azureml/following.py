"""Follow a run over all its jobs: one whose machines were taken away is submitted again, and goes on where it was."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

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
            said, given_up = self._next(run, current, number)
            if not said:
                yield evolve(failed, message=RunStatus.CANCELED) if given_up else failed
                return
            current = evolve(run, id=restarted(run.id, number))
            yield RunEvent(failed.time, "warning", "", f"{said}; submitted again as {current.id}, it goes on from its "
                                                       "last checkpoint")  # fmt: skip

    def goes_on(self, run: Run) -> bool:
        """Return whether a run whose last job has failed is one that the next watch submits again."""
        found = self.jobs.attempts.all_of(run.id)
        return len(found) <= self.restarts and self._waits(run, found)

    def cancel(self, run: Run) -> None:
        """Ask the job that works for a run to stop; one that waits for its next job gets none, whoever watches it."""
        found = self.jobs.attempts.all_of(run.id)
        if not self._waits(run, found):
            self.jobs.stop(str(found[-1].name) if found else run.id)
            if not found or not is_command_job(found[0]):
                return
            found = self.jobs.attempts.all_of(run.id)  # Its machines may have been taken away just before.
        if self._waits(run, found):
            last = str(found[-1].name)
            self.jobs.attempts.give_up(last)
            following = self.jobs.attempts.last(run.id)
            if following != last:  # Somebody who watches has submitted it meanwhile.
                self.jobs.stop(following)

    def _waits(self, run: Run, found: Sequence[Any]) -> bool:
        """Whether a run, of which these are the jobs, has lost its machines and may have others."""
        if not found or not is_command_job(found[0]) or found[0].properties.is_archived:
            return False
        if stands(found[-1]) is not RunStatus.FAILED:
            return False
        ending = self.ending(evolve(run, id=str(found[-1].name))).diagnosis
        return ending is not None and ending.code == TAKEN_AWAY

    def _next(self, run: Run, current: Run, number: int) -> tuple[str, bool]:
        """Return why another job works for the run, one that was there or one that is submitted here; empty if none.

        And whether there is none because the run was canceled.
        """
        made = self.jobs.attempts.raw(current.id)
        if made is None or not is_command_job(made):
            return "", False
        ending = self.ending(current).diagnosis
        taken = ending is not None and ending.code == TAKEN_AWAY
        title = ending.title if ending is not None else "nobody knows why"
        why = "its machines were taken away" if taken else f"it failed ({title})"
        if self.jobs.attempts.raw(restarted(run.id, number)) is not None:
            return why, False
        given_up = stands(made) is RunStatus.CANCELED
        if not taken or given_up or number > self.restarts or made.properties.is_archived:
            return "", given_up
        self.jobs.attempts.restart(run.id, number)
        if self._was_given_up(current):  # Whoever cancels looks for the next job only after having said so.
            self.jobs.stop(restarted(run.id, number))
            return "", True
        return f"{why} ({number} of at most {self.restarts} times)", False

    def _was_given_up(self, run: Run) -> bool:
        made = self.jobs.attempts.raw(run.id)
        return made is not None and stands(made) is RunStatus.CANCELED
