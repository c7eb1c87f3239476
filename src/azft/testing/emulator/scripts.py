"""Outcomes without training: what a scripted job says by a given time is a pure function of its script."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from azft.domain.run import RunEvent, RunStatus
from azft.testing.emulator.steps import CHAT_STEPS, Steps

TRAINING_STEPS = 4
DEFAULT_ERROR = "the script says so"
EVICTED = (
    "AzureMLCompute job failed. PreemptionError: Nodes of this job got pre-empted. Check if the run has failed or "
    "restarted. Reason: Received pre-emption warning signal"
)
"""What the service says of a job whose low-priority machines were taken away (MachineLearningNotebooks 1242)."""
PARENT_ERROR = (
    "Pipeline has failed child jobs. Failed nodes: {steps}. For more details and logs, please go to the job detail "
    "page and check the child jobs."
)
"""What the service says of the job itself; the reason lies with the step."""


@frozen
class Outcome:
    """How a job is to end, without training: after `seconds` it has; "queued" never begins.

    A "failed" job fails in `step` (a step of the pipeline, the one that trains without) with `error`; a "canceled" one
    is stopped there by somebody else. The reason is told by the step and not by the job, and `log` is what the step
    wrote before, in `logs` further files of its own by path. `nested` puts the steps into a pipeline within the job.
    `states` are words of the service and the seconds from which on they stand in place of the state that the job would
    have, an empty one giving it back. `failed_step` is a step that fails in a job that completes.
    """

    status: Literal["completed", "failed", "canceled", "queued"] = "completed"
    step: str = ""
    error: str = DEFAULT_ERROR
    seconds: float = 1.0
    code: str = "UserError"
    log: str = ""
    logs: Mapping[str, str] = field(factory=dict)
    nested: bool = False
    states: Sequence[tuple[float, str]] = ()
    failed_step: str = ""


def scripted_events(
    outcome: Outcome, begun: float, canceled: float | None, now: float, steps: Steps = CHAT_STEPS
) -> list[RunEvent]:
    """Return what the job has said by `now`; `canceled` is when the user asked it to stop.

    >>> [str(e.message) for e in scripted_events(Outcome(seconds=1), 0, None, 2) if e.kind == "status"]
    ['running', 'completed']
    >>> [str(e.message) for e in scripted_events(Outcome("queued"), 0, 5, 1e6) if e.kind == "status"]
    ['canceled']
    """
    story = [] if outcome.status == "queued" else _whole_story(outcome, begun, steps)
    if canceled is not None and not (story and story[-1].time <= canceled):
        story = [event for event in story if event.time <= canceled]
        story.append(RunEvent(canceled, "status", "", RunStatus.CANCELED))
    return [event for event in story if event.time <= now]


def _whole_story(outcome: Outcome, begun: float, steps: Steps) -> list[RunEvent]:
    stages = steps.all_stages
    each = outcome.seconds / len(stages)
    last = "" if outcome.status == "completed" else steps.stages[steps.step(outcome.step)][0]
    events = [RunEvent(begun, "status", "", RunStatus.RUNNING)]
    for number, stage in enumerate(stages):
        at = begun + number * each
        events.append(RunEvent(at, "stage", stage, "started"))
        if stage == last:
            events.append(RunEvent(at + each / 2, "status", "", RunStatus(outcome.status)))
            return events
        if stage == steps.training_stage:
            events.extend(_training(at, each, stage))
        events.append(RunEvent(at + each, "stage", stage, "done", values={"seconds": each}))
    events.append(RunEvent(begun + outcome.seconds, "status", "", RunStatus.COMPLETED))
    return events


def _training(at: float, seconds: float, stage: str) -> list[RunEvent]:
    return [
        RunEvent(
            at + seconds * step / (TRAINING_STEPS + 1),
            "progress",
            stage,
            step=step,
            total=TRAINING_STEPS,
            values={"loss": 2.0 / step, "learning_rate": 1e-5, "epoch": step / TRAINING_STEPS},
        )
        for step in range(1, TRAINING_STEPS + 1)
    ]
