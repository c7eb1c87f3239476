"""How a job ended, and why: the parent only says that it failed, the reason lies with the step that failed first."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from attrs import frozen

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import run_details
from azft.backends.azureml.logs import read_log
from azft.backends.azureml.saying import without_secrets
from azft.backends.azureml.states import NOT_RESPONDING, described, status_of
from azft.backends.azureml.steps import descendants, is_command
from azft.domain.diagnosis import Diagnosis
from azft.domain.run import Run, RunStatus
from azft.errors import AzftError
from azft.rules.diagnosis import diagnosed
from azft.training.events import event_of
from azft.waiting import Attempt

READ = 2_000
"""Last lines of a step's logs that a cause is looked for in."""
CONFIRMED = 3
"""Looks in a row that must find a job not responding before a single question says that it has failed."""


@frozen
class Ending:
    """Where a job stands: `message` is what the service says, `warnings` what went wrong in spite of success.

    `command` is whether it is a command, and no pipeline.
    """

    status: RunStatus
    message: str = ""
    warnings: tuple[str, ...] = ()
    diagnosis: Diagnosis | None = None
    command: bool = False


def closing_look(clients: Clients, run: Run, *, wait: float) -> Ending:
    """Return how the job ended, as far as it has; one that does not respond is looked at again before that is said."""
    # A run is looked at closely when it has ended, and then its steps are wanted, too.
    asked = Attempt(lambda: descendants(clients.workspace, run.id), "azft-steps")
    with translated(f"run {run.id!r}"):
        details = run_details(clients.workspace, run.id)
        for _again in range(CONFIRMED - 1):
            if word(details.status) != NOT_RESPONDING:
                break
            time.sleep(wait)
            details = run_details(clients.workspace, run.id)
    status = status_of(details.status)
    message = message_of(details)
    if word(details.status) == NOT_RESPONDING:
        said = message or described(details.status)
        return Ending(RunStatus.FAILED, said, (), diagnosed(f"{NOT_RESPONDING}: {said}"))
    if not status.ended:
        return Ending(status, message)
    with translated(f"the steps of {run.id}"):
        asked.wait(None)
        steps = asked.answer()
    failed = _failed(steps)
    if status is RunStatus.COMPLETED:
        warnings = tuple(f"step {step.display_name} failed though the job completed: {_said(step)}" for step in failed)
        return Ending(status, message, warnings)
    if status is RunStatus.CANCELED:
        return Ending(status, message)
    command = is_command(details)
    return Ending(status, message, (), _diagnosis(clients, message, [details] if command else failed), command)


def message_of(told: Any) -> str:
    """Return what run history says of an error, with the innermost code; empty if it says nothing."""
    error = getattr(getattr(told, "error", None), "error", None)
    if error is None:
        return ""
    inner, codes = error, []
    while inner is not None:
        if getattr(inner, "code", None):
            codes.append(str(inner.code))
        inner = getattr(inner, "inner_error", None)
    message = str(getattr(error, "message", "") or "").strip()
    code = next(
        (code for code in reversed(codes) if code not in {"UserError", "SystemError"} and code not in message), ""
    )
    return without_secrets(f"{code}: {message}" if code and message else message or code)


def _failed(steps: Sequence[Any]) -> list[Any]:
    """Return the steps that failed themselves, first the first: a pipeline among them only points at its own."""
    parents = {str(getattr(step, "parent_run_id", "")) for step in steps}
    failed = [step for step in steps if str(step.status) == "Failed" and str(step.run_id) not in parents]
    return sorted(failed, key=lambda step: str(step.end_time_utc or ""))


def _said(step: Any) -> str:
    return message_of(step) or "no reason was given"


def _diagnosis(clients: Clients, message: str, failed: Sequence[Any]) -> Diagnosis:
    """Return the cause from the step that failed first; the next ones are asked only where nobody knows that one."""
    first: Diagnosis | None = None
    for step in failed:
        found = _of_step(clients, step)
        if found.known:
            return found
        first = first or found
    return first if first is not None and (first.message or first.lines) else diagnosed(message)


def _of_step(clients: Clients, step: Any) -> Diagnosis:
    lines: list[str] = []
    name = str(getattr(step, "display_name", None) or "")
    try:
        with translated(f"the log of {name or step.run_id}"):
            details = run_details(clients.workspace, str(step.run_id))
        for path, address in sorted((details.log_files or {}).items()):
            if not path.startswith("system_logs/"):
                piece = read_log(address)
                lines += [f"({path} cannot be read: {piece.why})"] if piece.lines is None else piece.lines
        message = message_of(step) or message_of(details)
    except AzftError as error:
        # A log that cannot be read must not hide what is known.
        message = message_of(step)
        lines.append(f"(its log cannot be read: {error.message})")
    told = [without_secrets(line) for line in lines if event_of(line) is None][-READ:]
    return diagnosed(message, told, step=name)
