"""Follow a job to its end: one look after the other, within its time, whatever keeps one of them from succeeding."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import is_signed_out, translated
from azft.backends.azureml.internals import queue_of
from azft.backends.azureml.looking import Look, Looking, Seen
from azft.backends.azureml.metrics import Measured, Metrics
from azft.backends.azureml.states import NOT_RESPONDING, STATUSES, described
from azft.domain.run import Run, RunEvent, RunStatus
from azft.errors import AzftError, BackendError
from azft.waiting import Attempt

POLL = 5.0
PATIENCE = 600.0
"""Seconds for which looks may fail before watching ends; the job goes on by itself."""
LOOK_WITHIN = 120.0
"""Seconds that one look may take before it is given up and counted as failed."""
METRICS_WITHIN = 20.0
"""Seconds that a look waits for MLflow; numbers that come later are told at the next one."""
WHY_EVERY = 60.0
"""Seconds between two questions why a job still waits."""
_log = logging.getLogger("azft.watch")
Why = Callable[[Mapping[str, str]], str]


class Watcher:
    """One look after another at one job; `why` says what may keep it from starting."""

    def __init__(
        self, clients: Clients, metrics: Metrics, run: Run, *, why: Why | None = None, patience: float = PATIENCE
    ) -> None:
        self._clients = clients
        self._metrics = metrics
        self._run = run
        self._why = why
        self._patience = patience
        self._seen = Seen()
        self._asked_why = -WHY_EVERY
        self._told = ""
        self._state_said = ""
        self._pending: Attempt[list[Measured]] | None = None

    def events(self, *, poll: float, timeout: float | None, queue_timeout: float | None = None) -> Iterator[RunEvent]:
        """Yield events until the job has ended, `timeout` seconds are over, or it has not begun in `queue_timeout`.

        Whatever keeps a look from succeeding is waited out for the time of `patience`, and said; the sign-in is renewed
        where the service does not take it. Errors: that of the last look, if none has succeeded for so long.
        """
        begun = time.monotonic()
        deadline = None if timeout is None else begun + timeout
        start_by = None if queue_timeout is None else begun + queue_timeout
        failing_since: float | None = None
        while True:
            left = None if deadline is None else deadline - time.monotonic()
            try:
                look = self._looked(left)
            except AzftError as error:
                now = time.monotonic()
                failing_since = now if failing_since is None else failing_since
                if now - failing_since >= self._patience:
                    raise
                if is_signed_out(error) or is_signed_out(error.__context__):
                    self._clients.renew()
                yield from self._state(f"Azure does not answer as it should ({error.message}); tried again for up to "
                                       f"{self._patience:g} seconds")  # fmt: skip
            else:
                if look is not None:
                    if failing_since is not None:
                        failing_since = None
                        yield from self._state("Azure answers again")
                    self._seen = look.seen
                    yield from look.events
                    if look.ended:
                        return
                    start_by = None if look.status is not RunStatus.QUEUED else start_by
                    yield from self._described(look)
            now = time.monotonic()
            if any(limit is not None and now >= limit for limit in (deadline, start_by)):
                return
            ends = [limit - now for limit in (deadline, start_by) if limit is not None]
            time.sleep(max(0.0, min([poll, *ends])))

    def _looked(self, left: float | None) -> Look | None:
        """Return what a look found; None if the time was over before it came back."""
        within = LOOK_WITHIN if left is None else min(max(left, 0.0), LOOK_WITHIN)
        attempt = Attempt(Looking(self._clients, self._run, self._seen, self._measured).take, "azft-look")
        if attempt.wait(within):
            return attempt.answer()
        if left is not None and left <= LOOK_WITHIN:
            return None
        raise BackendError(f"watching {self._run.id}: no answer within {LOOK_WITHIN:g} seconds")

    def _described(self, look: Look) -> Iterator[RunEvent]:
        """Yield the service's own word where it changes, and of a job that waits why it does."""
        text = described(look.word)
        if look.status is RunStatus.QUEUED and self._why is not None:
            now = time.monotonic()
            if now - self._asked_why >= WHY_EVERY:
                self._asked_why = now
                self._told = self._reason()
            text = f"{text} ({self._told})" if self._told else text
        if look.word not in STATUSES or look.word in {NOT_RESPONDING, "Paused", "CancelRequested", "Finalizing"}:
            yield from self._state(text)

    def _reason(self) -> str:
        """Return what the queue, the cluster or the quotas say; a question that fails is no reason to stop watching."""
        try:
            with translated(f"why {self._run.id} waits"):
                job = self._clients.workspace.jobs.get(self._run.id)
                told = self._why(dict(job.tags or {})) if self._why is not None else ""
                queue = queue_of(self._clients.workspace, self._run.id)
                said = getattr(queue, "message", None) or getattr(queue, "code", None)
                return "; ".join(str(part) for part in (said, told) if part)
        except AzftError as error:
            _log.debug("%s", error)
            return ""

    def _state(self, text: str) -> Iterator[RunEvent]:
        if self._state_said != text:
            self._state_said = text
            yield RunEvent(time.time(), "state", "", text)

    def _measured(self, names: tuple[str, ...]) -> tuple[list[Measured], str]:
        """Return what MLflow has measured, or why it is not known: the state must not wait for it."""
        attempt = self._pending or Attempt(lambda: self._metrics.history(self._run, names), "azft-metrics")
        if not attempt.wait(METRICS_WITHIN):
            self._pending = attempt
            return [], f"asking for the metrics: MLflow did not answer within {METRICS_WITHIN:g} seconds"
        self._pending = None
        try:
            with translated("asking for the metrics"):
                return attempt.answer(), ""
        except AzftError as error:
            _log.info("no metrics at this look: %s", error.message)
            return [], error.message
