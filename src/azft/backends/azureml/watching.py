"""Follow a job to its end: states, steps, log lines and losses, each said once, in the order of time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import requests

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import is_passing, translated
from azft.backends.azureml.internals import child_runs, run_details
from azft.backends.azureml.metrics import Metrics
from azft.domain.run import Run, RunEvent, RunStatus
from azft.errors import BackendError

POLL = 5.0
PATIENCE = 10
"""So often in a row a look may fail for a passing reason before watching ends; the job goes on by itself."""
LOG_WITHIN = 30.0
STATUSES = {
    "Completed": RunStatus.COMPLETED,
    "Finished": RunStatus.COMPLETED,
    "Failed": RunStatus.FAILED,
    "NotResponding": RunStatus.FAILED,
    "Canceled": RunStatus.CANCELED,
    "Running": RunStatus.RUNNING,
    "Finalizing": RunStatus.RUNNING,
    "CancelRequested": RunStatus.RUNNING,
}
"""Everything else (NotStarted, Starting, Provisioning, Preparing, Queued, Paused, Unknown) is waiting."""


class Watcher:
    """One look after another at one job."""

    def __init__(self, clients: Clients, metrics: Metrics, run: Run) -> None:
        self._clients = clients
        self._metrics = metrics
        self._run = run
        self._said: set[tuple[str, str, str]] = set()
        self._lines: dict[str, int] = {}
        self._step = -1

    def events(self, *, poll: float, timeout: float | None) -> Iterator[RunEvent]:
        """Yield events until the job has ended or `timeout` seconds are over."""
        deadline = None if timeout is None else time.monotonic() + timeout
        failures = 0
        while True:
            try:
                with translated(f"watching {self._run.id}"):
                    events = self._look()
                failures = 0
            except BackendError as error:
                failures += 1
                if failures > PATIENCE or not is_passing(error.__context__ or error):
                    raise
                events = []
            for event in events:
                yield event
                if event.kind == "status" and RunStatus(event.message).ended:
                    return
            if deadline is not None and time.monotonic() >= deadline:
                return
            time.sleep(poll)

    def _look(self) -> list[RunEvent]:
        details = run_details(self._clients.workspace, self._run.id)
        status = status_of(details.status)
        # Losses first: a loss that is known belongs to a step that has begun, and so is in the list that comes next.
        losses = [] if status is RunStatus.QUEUED else list(self._losses(last=status.ended))
        steps = child_runs(self._clients.workspace, self._run.id)
        events = [*losses, *(event for step in steps for event in (*self._steps(step), *self._log(step)))]
        events.sort(key=lambda event: event.time)
        begun = _seconds(details.start_time_utc)
        if status is not RunStatus.QUEUED and begun and self._once("", "status", RunStatus.RUNNING):
            events.insert(0, RunEvent(min([begun, *(event.time for event in events)]), "status", "", RunStatus.RUNNING))
        if status.ended and self._once("", "status", status):
            ended = _seconds(details.end_time_utc) or begun or 0.0
            latest = max([ended, *(event.time for event in events)])
            events.append(RunEvent(latest, "status", "", status))
        return events

    def _steps(self, step: Any) -> Iterator[RunEvent]:
        name, begun, ended = str(step.display_name), _seconds(step.start_time_utc), _seconds(step.end_time_utc)
        if begun and self._once(name, "stage", "started"):
            yield RunEvent(begun, "stage", name, "started")
        if begun and ended and str(step.status) == "Completed" and self._once(name, "stage", "done"):
            yield RunEvent(ended, "stage", name, "done", values={"seconds": round(ended - begun, 2)})

    def _log(self, step: Any) -> Iterator[RunEvent]:
        """Yield the lines that were added to the step's logs; a line still being written waits."""
        if (step.run_id, "closed", "") in self._said:
            return
        ended = _seconds(step.end_time_utc)
        at = ended or _seconds(step.start_time_utc) or 0.0
        files = run_details(self._clients.workspace, step.run_id).log_files or {}
        for path, address in files.items():
            text = self._read(address)
            if text is None:
                return
            lines = text.splitlines(keepends=True)
            seen = self._lines.get(f"{step.run_id}/{path}", 0)
            whole = [line.rstrip() for line in lines if ended or line.endswith("\n")]
            self._lines[f"{step.run_id}/{path}"] = max(seen, len(whole))
            yield from (RunEvent(at, "log", str(step.display_name), line) for line in whole[seen:] if line)
        if ended:
            self._said.add((step.run_id, "closed", ""))

    def _read(self, address: str) -> str | None:
        try:
            answer = requests.get(address, timeout=LOG_WITHIN)
        except requests.RequestException:
            return None  # The next look tries again; a log never ends a watch.
        return answer.text if answer.ok else None

    def _losses(self, *, last: bool) -> Iterator[RunEvent]:
        names = ("loss", "eval_loss", "learning_rate", "epoch") if last else ("loss",)
        found: dict[tuple[int, float], dict[str, float]] = {}
        for point in self._metrics.history(self._run, names):
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

    def _once(self, stage: str, kind: str, what: str) -> bool:
        new = (stage, kind, what) not in self._said
        self._said.add((stage, kind, what))
        return new


def status_of(value: Any) -> RunStatus:
    """Return where a job stands, from the service's word for it."""
    return STATUSES.get(word(value), RunStatus.QUEUED)


def _seconds(value: Any) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
