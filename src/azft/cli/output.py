"""What a command prints, and the code it ends with."""

from __future__ import annotations

import sys
from typing import Any

import click

FAILED, PLAN_HAS_ERRORS, RUN_FAILED, RUN_CANCELED, TIMED_OUT, INTERRUPTED = 1, 3, 4, 5, 6, 130
CODES = {
    0: "everything that was asked for is done",
    FAILED: "azft refuses, and says why and what to do",
    2: "the command line itself cannot be read",
    PLAN_HAS_ERRORS: "the plan has errors; nothing was begun",
    RUN_FAILED: "the run failed",
    RUN_CANCELED: "the run was canceled",
    TIMED_OUT: "the run goes on, and the time given for watching is over",
    INTERRUPTED: "interrupted; a run that was begun goes on",
}
"""What an exit code means."""


def show(value: Any, *, as_json: bool) -> None:
    """Print a value as it prints itself, or as JSON."""
    if as_json:
        from azft.domain.jsonable import to_json

        plain = list(value) if isinstance(value, tuple) else value
        click.echo(to_json(plain).decode())
    else:
        say(str(value) or "nothing")


def say(text: str) -> None:
    """Print text, with what the terminal has no sign for as escapes."""
    from azft.views.text import encodable

    click.echo(encodable(text.rstrip("\n"), getattr(sys.stdout, "encoding", None) or "utf-8"))


def exit_code(error: BaseException) -> int:
    """Return the exit code for an error of azft."""
    from azft.errors import PlanError, RunCanceledError, RunFailedError, RunTimeoutError

    known = (
        (PlanError, PLAN_HAS_ERRORS),
        (RunFailedError, RUN_FAILED),
        (RunCanceledError, RUN_CANCELED),
        (RunTimeoutError, TIMED_OUT),
    )
    return next((code for kind, code in known if isinstance(error, kind)), FAILED)
