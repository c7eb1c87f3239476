"""Step 4: a job becomes a run, once: the same plan and data find the run that is there."""

from __future__ import annotations

from contextlib import ExitStack
from datetime import UTC, datetime
from itertools import count

from attrs import evolve

from azft.domain.job import Job
from azft.domain.run import Run, RunState, RunStatus
from azft.ledger import Ledger
from azft.ports import RunService
from azft.rules.keys import run_id

PREFIX = "azft"
"""What ids begin with, where a backend does not say it."""
_ENDED_BADLY = frozenset({RunStatus.FAILED, RunStatus.CANCELED})


class JobSubmitter:
    """Submits jobs to one backend; the ledger knows of each before the backend does."""

    def __init__(self, backend: RunService, ledger: Ledger, *, name: str) -> None:
        self._backend = backend
        self._ledger = ledger
        self._name = name

    def submit(self, job: Job, *, again: bool = False) -> Run:
        """Return the run of the job: the one that is queued, running or completed, or a new one.

        One that failed, was canceled or was deleted does not count; `again` starts another in any case.
        """
        for attempt in count(1):
            identity = run_id(job.key, attempt, getattr(self._backend, "run_prefix", PREFIX))
            known = self._backend.state(identity)
            if known is None:
                return self._started(evolve(job, id=identity))
            if known.key == job.key and not known.deleted and known.status not in _ENDED_BADLY and not again:
                return evolve(known.run, found=_told(known))
        raise AssertionError("there is always a next attempt")

    def _started(self, job: Job) -> Run:
        with ExitStack() as stack:
            run = stack.enter_context(self._ledger.making("run", job.id, self._name, key=job.key))
            for upload in self._backend.uploads(job):
                stack.enter_context(self._ledger.making("upload", upload, self._name, token=run.resource.token))
            return self._backend.submit(evolve(job, tags={**job.tags, **run.tags}))


def _told(known: RunState) -> str:
    """Say how the run stands, and how to have another."""
    when = f" since {datetime.fromtimestamp(known.since, UTC):%Y-%m-%d %H:%M} UTC" if known.since else ""
    said = "completed" if known.status is RunStatus.COMPLETED else f"already {known.status}{when}"
    return f"{known.run.id} of this plan and data is {said}; again=True starts another"
