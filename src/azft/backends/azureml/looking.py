"""One look at a job: its state, its steps, and the lines and numbers that were not told before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from attrs import Factory, define, evolve, frozen

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import translated
from azft.backends.azureml.failures import message_of
from azft.backends.azureml.internals import run_details
from azft.backends.azureml.logs import TRIES, read_log
from azft.backends.azureml.metrics import Measured
from azft.backends.azureml.states import NOT_RESPONDING, status_of
from azft.backends.azureml.steps import descendants, is_command, is_pipeline
from azft.domain.run import Run, RunEvent, RunStatus
from azft.training.events import event_of

TRAINS = "finetune"
"""In the name of a pipeline's step that trains (azureml-assets)."""
CONFIRMED = 12
"""Looks in a row that must find a job not responding before it has failed: a minute of them, as it can come back."""
Measure = Callable[[tuple[str, ...]], tuple[list[Measured], str]]
"""Brings metrics by their names, as far as they are known, and says why others are not."""


@define
class Seen:
    """What was told already: a look works on a copy, which counts only if the whole look succeeds."""

    said: set[tuple[str, str, str]] = Factory(set)
    ends: dict[str, int] = Factory(dict)
    step: int = -1
    unresponsive: int = 0

    def copy(self) -> Seen:
        """Return one that can be changed without changing this one."""
        return evolve(self, said=set(self.said), ends=dict(self.ends))


@frozen
class Look:
    """What one look has found: the service's word, the events since the one before, and what is told by then."""

    word: str
    status: RunStatus
    events: list[RunEvent]
    seen: Seen

    @property
    def ended(self) -> bool:
        """Whether nothing more will come: the job has ended, or has not responded for so long that it has failed."""
        return self.status.ended or self.seen.unresponsive >= CONFIRMED


class Looking:
    """Takes one look; `measure` brings metrics by their names, as far as they are known."""

    def __init__(self, clients: Clients, run: Run, seen: Seen, measure: Measure) -> None:
        self._clients = clients
        self._run = run
        self._seen = seen.copy()
        self._measure = measure

    def take(self) -> Look:
        """Return what there is to tell since what was seen before."""
        with translated(f"watching {self._run.id}"):
            details = run_details(self._clients.workspace, self._run.id)
            said = word(details.status) if details.status is not None else ""
            status = status_of(said)
            self._seen.unresponsive = self._seen.unresponsive + 1 if said == NOT_RESPONDING else 0
            last = status.ended or self._seen.unresponsive >= CONFIRMED
            events = self._own(details, last=last) if is_command(details) else self._of_steps(status, last=last)
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
            return Look(said, status, events, self._seen)

    def _of_steps(self, status: RunStatus, *, last: bool) -> list[RunEvent]:
        """Return what the steps of a pipeline tell, and MLflow of their losses."""
        # Losses first: one that is known belongs to a step that has begun, and so is in the list that comes next.
        measured = ([], "") if status is RunStatus.QUEUED else self._measured(last=last)
        steps = descendants(self._clients.workspace, self._run.id)
        if not steps:
            return []  # A command whose log is not there yet will tell its losses itself.
        losses = list(self._losses(*measured, last=last))
        trains = next((str(step.display_name) for step in steps if TRAINS in str(step.display_name)), "")
        losses = [evolve(event, stage=trains) if not event.stage else event for event in losses]
        return [*losses, *(event for step in steps for event in (*self._steps(step), *self._log(step, last=last)))]

    def _own(self, details: Any, *, last: bool) -> list[RunEvent]:
        """Return what a job of azft's engine or a script tells: its log holds its events, beside whatever else."""
        found = []
        for said in self._log(details, last=last):
            event = event_of(said.message) if said.kind == "log" else None
            found.append(event or said)
        return found

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

    def _log(self, step: Any, *, last: bool) -> Iterator[RunEvent]:
        """Yield the lines that were added to the step's logs; a line still being written waits.

        A log that cannot be read is read by the next look; the last one tries harder, and tells what is missing.
        """
        if (step.run_id, "closed", "") in self._seen.said or is_pipeline(step):
            return
        ended = _seconds(step.end_time_utc)
        # While its image is built a step has a log, and has not begun.
        at = ended or _seconds(step.start_time_utc) or time.time()
        name = str(getattr(step, "display_name", None) or "")
        files = run_details(self._clients.workspace, step.run_id).log_files or {}
        whole = True
        for path, address in files.items():
            key = f"{step.run_id}/{path}"
            begin = self._seen.ends.get(key, 0)
            piece = read_log(address, begin, ended=bool(ended), tries=TRIES if last else 1)
            if piece.lines is None:
                whole = False
                if last:
                    said = f"{path} cannot be read: {piece.why}"
                    yield RunEvent(at, "warning", name, said)
                continue
            self._seen.ends[key] = piece.end
            yield from (RunEvent(at, "log", name, line.rstrip()) for line in piece.lines if line)
        if ended and whole:
            self._seen.said.add((step.run_id, "closed", ""))

    def _measured(self, *, last: bool) -> tuple[list[Measured], str]:
        """Return the losses, and why they are not known; the last look asks twice, as none comes that could again."""
        names = ("loss", "eval_loss", "learning_rate", "epoch") if last else ("loss",)
        points, unknown = self._measure(names)
        return self._measure(names) if unknown and last else (points, unknown)

    def _losses(self, points: list[Measured], unknown: str, *, last: bool) -> Iterator[RunEvent]:
        found: dict[tuple[int, float], dict[str, float]] = {}
        if unknown and last and self._once("", "warning", "losses"):
            yield RunEvent(time.time(), "warning", "", unknown)
        for point in points:
            found.setdefault((point.step, point.time), {})[point.name] = point.value
        training = [(place, values) for place, values in sorted(found.items(), key=lambda e: e[0]) if "loss" in values]
        total = max((place[0] for place, _ in training), default=0)
        for (step, at), values in training:
            if step > self._seen.step:
                self._seen.step = step
                yield RunEvent(at, "progress", "", step=step, total=total if last else 0, values=values)
        if last:
            for (step, at), values in sorted(found.items(), key=lambda entry: entry[0]):
                if "loss" not in values and "eval_loss" in values:
                    yield RunEvent(at, "metrics", "", step=step, values=values)

    def _once(self, stage: str, kind: str, what: str) -> bool:
        new = (stage, kind, what) not in self._seen.said
        self._seen.said.add((stage, kind, what))
        return new


def _seconds(value: Any) -> float | None:
    return value.timestamp() if isinstance(value, datetime) else None
