"""A job's events told as Azure tells them: a status, the pipeline's steps as child runs, logs and metrics."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from attrs import evolve, frozen

from azft.domain.run import RunEvent, RunStatus
from azft.testing.emulator.steps import CHAT_STEPS, Steps

AZURE: Mapping[RunStatus, str] = {
    RunStatus.QUEUED: "NotStarted",
    RunStatus.RUNNING: "Running",
    RunStatus.COMPLETED: "Completed",
    RunStatus.FAILED: "Failed",
    RunStatus.CANCELED: "Canceled",
}
"""The service's words."""
ENDED = frozenset({"Completed", "Failed", "Canceled"})


@frozen
class Point:
    """One measured number."""

    name: str
    value: float
    time: float
    step: int


@frozen
class Step:
    """One child run; times are seconds since 1970, `ended` None while it works.

    `path` tells it from others where pipelines hold pipelines, `module` is the name of its component, and `pipeline`
    says that it holds others.
    """

    name: str
    id: str
    status: str
    begun: float
    ended: float | None
    log: str
    metrics: tuple[Point, ...] = ()
    path: str = ""
    module: str = ""
    pipeline: bool = False


@frozen
class Story:
    """A whole job as seen from outside."""

    status: str
    begun: float | None
    ended: float | None
    steps: tuple[Step, ...]
    log: str


def child_id(job: str, step: str) -> str:
    """Return the id of a job's child run, the same every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{job}/{step}"))


def tell(
    job: str,
    events: Sequence[RunEvent],
    *,
    canceling: bool = False,
    failed_step: str = "",
    steps: Steps = CHAT_STEPS,
) -> Story:
    """Return the story so far of a pipeline with these steps; `failed_step` has failed whatever the job says.

    >>> tell("a", []).status
    'NotStarted'
    >>> tell("a", [RunEvent(1, "status", "", "running"), RunEvent(2, "status", "", "canceled")]).status
    'Canceled'
    """
    said = [event for event in events if event.kind == "status"]
    status = AZURE[RunStatus(said[-1].message)] if said else AZURE[RunStatus.QUEUED]
    ended = said[-1].time if status in ENDED else None
    found = [step for name in steps.names if (step := _step(job, name, steps, events, (status, ended))) is not None]
    told = tuple(evolve(step, status="Failed") if step.name == failed_step else step for step in found)
    shown = "CancelRequested" if canceling and status not in ENDED else status
    begun = said[0].time if said else None
    return Story(shown, begun, ended, told, _execution_log(told, shown, ended))


def _step(job: str, name: str, steps: Steps, events: Sequence[RunEvent], how: tuple[str, float | None]) -> Step | None:
    stages, (status, ended) = steps.stages[name], how
    own = [event for event in events if event.stage in stages]
    begun = next((event.time for event in own if event.kind == "stage"), None)
    if begun is None:
        return None
    done = next((e.time for e in own if e.kind == "stage" and e.message == "done" and e.stage == stages[-1]), None)
    if steps is CHAT_STEPS and name == steps.names[0]:
        done = begun
        own = []
    if done is not None:
        state, closed = "Completed", done
    elif ended is not None:
        state, closed = status, ended
    else:
        state, closed = "Running", None
    metrics = tuple(
        Point(key, value, event.time, event.step)
        for event in own
        if event.kind in {"progress", "metrics"}
        for key, value in event.values.items()
    )
    lines = [line for event in own if (line := _line(event))] if own else [f"[{clock(begun)}] Validation Completed"]
    return Step(name, child_id(job, name), state, begun, closed, "".join(f"{line}\n" for line in lines), metrics)


def _line(event: RunEvent) -> str:
    numbers = " ".join(f"{name}={value:.6g}" for name, value in event.values.items())
    if event.kind == "progress":
        text = f"step {event.step}/{event.total} {numbers}"
    else:
        text = {"metrics": numbers, "log": event.message, "warning": f"WARNING {event.message}"}.get(event.kind, "")
    return f"[{clock(event.time)}] {text}" if text else ""


def _execution_log(steps: Sequence[Step], status: str, ended: float | None) -> str:
    lines: list[tuple[float, str]] = []
    for step in steps:
        lines.append((step.begun, f"Submitting {step.name}, child run {step.id}"))
        if step.ended is not None:
            lines.append((step.ended, f"Finishing {step.name}: {step.status}"))
    if ended is not None:
        lines.append((ended, f"The run is {status}"))
    return "".join(f"[{clock(time)}] {text}\n" for time, text in sorted(lines, key=lambda line: line[0]))


def clock(seconds: float) -> str:
    """Return a time as the service's logs have it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
