"""Follow a job to its end: states, steps, log lines and losses, each said once, in the order of time."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import is_signed_out, translated
from azft.backends.azureml.failures import message_of
from azft.backends.azureml.internals import queue_of, run_details
from azft.backends.azureml.logs import read_log
from azft.backends.azureml.metrics import Measured, Metrics
from azft.backends.azureml.states import NOT_RESPONDING, STATUSES, described, status_of
from azft.backends.azureml.steps import descendants, is_pipeline
from azft.domain.run import Run, RunEvent, RunStatus
from azft.errors import AzftError, BackendError
from azft.waiting import Attempt

POLL = 5.0
PATIENCE = 600.0
"""Seconds for which looks may fail before watching ends; the job goes on by itself."""
CONFIRMED = 12
"""Looks in a row that must find a job not responding before it has failed: a minute of them, as it can come back."""
LOOK_WITHIN = 120.0
"""Seconds that one look may take before it is given up and counted as failed."""
METRICS_WITHIN = 20.0
"""Seconds that a look waits for MLflow; numbers that come later are told at the next one."""
WHY_EVERY = 60.0
"""Seconds between two questions why a job still waits."""
_log = logging.getLogger("azft.watch")
Why = Callable[[Mapping[str, str]], str]


@frozen
class _Look:
    """What one look at a job has found: its state in the service's word, and the events since the one before."""

    word: str
    status: RunStatus
    events: list[RunEvent]


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
        self._said: set[tuple[str, str, str]] = set()
        self._ends: dict[str, int] = {}
        self._step = -1
        self._unresponsive = 0
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
                    yield from look.events
                    if look.status.ended or self._unresponsive >= CONFIRMED:
                        return
                    start_by = None if look.status is not RunStatus.QUEUED else start_by
                    yield from self._described(look)
            now = time.monotonic()
            if any(limit is not None and now >= limit for limit in (deadline, start_by)):
                return
            ends = [limit - now for limit in (deadline, start_by) if limit is not None]
            time.sleep(max(0.0, min([poll, *ends])))

    def _looked(self, left: float | None) -> _Look | None:
        """Return what a look found; None if the time was over before it came back."""
        within = LOOK_WITHIN if left is None else min(max(left, 0.0), LOOK_WITHIN)
        attempt = Attempt(self._look, "azft-look")
        if attempt.wait(within):
            return attempt.answer()
        if left is not None and left <= LOOK_WITHIN:
            return None
        raise BackendError(f"watching {self._run.id}: no answer within {LOOK_WITHIN:g} seconds")

    def _look(self) -> _Look:
        with translated(f"watching {self._run.id}"):
            details = run_details(self._clients.workspace, self._run.id)
            said = word(details.status) if details.status is not None else ""
            status = status_of(said)
            self._unresponsive = self._unresponsive + 1 if said == NOT_RESPONDING else 0
            last = status.ended or self._unresponsive >= CONFIRMED
            # Losses first: one that is known belongs to a step that has begun, and so is in the list that comes next.
            losses = [] if status is RunStatus.QUEUED else list(self._losses(last=last))
            steps = descendants(self._clients.workspace, self._run.id)
            events = [*losses, *(event for step in steps for event in (*self._steps(step), *self._log(step)))]
            events.sort(key=lambda event: event.time)
            begun = _seconds(details.start_time_utc)
            if status is not RunStatus.QUEUED and begun and self._once("", "status", RunStatus.RUNNING):
                events.insert(
                    0, RunEvent(min([begun, *(event.time for event in events)]), "status", "", RunStatus.RUNNING)
                )
            if last and self._once("", "status", "ended"):
                ended = _seconds(details.end_time_utc) or begun or 0.0
                latest = max([ended, *(event.time for event in events)])
                events.append(RunEvent(latest, "status", "", status if status.ended else RunStatus.FAILED))
            return _Look(said, status, events)

    def _described(self, look: _Look) -> Iterator[RunEvent]:
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

    def _steps(self, step: Any) -> Iterator[RunEvent]:
        name, begun, ended = str(step.display_name), _seconds(step.start_time_utc), _seconds(step.end_time_utc)
        if begun and self._once(f"{name}/{step.run_id}", "stage", "started"):
            yield RunEvent(begun, "stage", name, "started")
        done = begun and ended and str(step.status) == "Completed"
        if begun and ended and done and self._once(f"{name}/{step.run_id}", "stage", "done"):
            yield RunEvent(ended, "stage", name, "done", values={"seconds": round(ended - begun, 2)})
        if ended and str(step.status) == "Failed" and self._once(f"{name}/{step.run_id}", "warning", "failed"):
            said = message_of(step)
            yield RunEvent(ended, "warning", name, f"step {name} failed{f': {said}' if said else ''}")

    def _log(self, step: Any) -> Iterator[RunEvent]:
        """Yield the lines that were added to the step's logs; a line still being written waits."""
        if (step.run_id, "closed", "") in self._said or is_pipeline(step):
            return
        ended = _seconds(step.end_time_utc)
        at = ended or _seconds(step.start_time_utc) or 0.0
        files = run_details(self._clients.workspace, step.run_id).log_files or {}
        for path, address in files.items():
            key = f"{step.run_id}/{path}"
            piece = read_log(address, self._ends.get(key, 0), ended=bool(ended))
            if piece.lines is None:
                return
            self._ends[key] = piece.end
            yield from (RunEvent(at, "log", str(step.display_name), line.rstrip()) for line in piece.lines if line)
        if ended:
            self._said.add((step.run_id, "closed", ""))

    def _losses(self, *, last: bool) -> Iterator[RunEvent]:
        found: dict[tuple[int, float], dict[str, float]] = {}
        for point in self._points(last=last):
            found.setdefault((point.step, point.time), {})[point.name] = point.value
        training = [(place, values) for place, values in sorted(found.items(), key=lambda e: e[0]) if "loss" in values]
        total = max((place[0] for place, _ in training), default=0)
        for (step, at), values in training:
            if step > self._step:
                self._step = step
                yield RunEvent(
                    at, "progress", "chat_completion_finetune", step=step, total=total if last else 0, values=values
                )
        if last:
            for (step, at), values in sorted(found.items(), key=lambda entry: entry[0]):
                if "loss" not in values and "eval_loss" in values:
                    yield RunEvent(at, "metrics", "chat_completion_finetune", step=step, values=values)

    def _points(self, *, last: bool) -> list[Measured]:
        """Return what MLflow has measured; where it fails or takes its time, the state must not wait for it."""
        names = ("loss", "eval_loss", "learning_rate", "epoch") if last else ("loss",)
        attempt = self._pending or Attempt(lambda: self._metrics.history(self._run, names), "azft-metrics")
        if not attempt.wait(METRICS_WITHIN):
            self._pending = attempt
            return []
        self._pending = None
        try:
            with translated(f"the metrics of {self._run.id}"):
                return attempt.answer()
        except AzftError as error:
            _log.info("no metrics at this look: %s", error.message)
            return []

    def _once(self, stage: str, kind: str, what: str) -> bool:
        new = (stage, kind, what) not in self._said
        self._said.add((stage, kind, what))
        return new


def _seconds(value: Any) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
