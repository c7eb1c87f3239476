"""Show a run: a live line on a terminal, plain lines elsewhere, or only the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from azft.domain.run import Run, RunEvent

_log = logging.getLogger("azft.watch")
STAGES = ("import", "preprocess", "finetune", "evaluate", "export")
PLAIN_EVERY = 5.0
"""Seconds between two lines of progress where nothing can be redrawn."""


class Display(Protocol):
    """Takes events as they come."""

    def show(self, event: RunEvent) -> None:
        """Show one event."""
        ...

    def say(self, text: str) -> None:
        """Show one line that stays."""
        ...


@contextmanager
def display(run: Run, *, enabled: bool) -> Iterator[Display]:
    """Give the display that fits where the output goes."""
    if not enabled:
        yield _Logged()
        return
    from rich.console import Console

    console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
    if not (console.is_terminal or console.is_jupyter):
        yield _Plain(run)
        return
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[numbers]}", markup=False),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console) as progress:
        yield _Live(run, progress)


def say(text: str, *, enabled: bool) -> None:
    """Say one line to the user, or to the log where standard output is to stay quiet."""
    if enabled:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()
    else:
        _log.info("%s", text)


class _Live:
    def __init__(self, run: Run, progress: Any) -> None:
        self._progress = progress
        self._progress.console.print(f"{run.id}  {run.display_name}")
        self._task = progress.add_task("queued", total=None, numbers="")

    def show(self, event: RunEvent) -> None:
        if event.kind == "stage" and event.message == "started":
            self._progress.reset(self._task, description=_stage(event.stage), total=None, numbers="")
        elif event.kind == "progress":
            self._progress.update(
                self._task, completed=event.step, total=event.total or None, numbers=numbers(event), refresh=True
            )
        elif (line := _line(event)) is not None:
            self._progress.console.print(line)

    def say(self, text: str) -> None:
        self._progress.console.print(text)


class _Plain:
    def __init__(self, run: Run) -> None:
        self._last = 0.0
        self._first: RunEvent | None = None
        self.say(f"{run.id}  {run.display_name}")

    def show(self, event: RunEvent) -> None:
        if event.kind == "progress":
            if event.time - self._last < PLAIN_EVERY and event.step != event.total:
                return
            self._last = event.time
            self._first = self._first or event
            of = f" of {event.total}" if event.total else ""
            self.say(f"  step {event.step}{of}  {numbers(event)}{_left(self._first, event)}")
        elif event.kind == "stage" and event.message == "started":
            self.say(_stage(event.stage))
        elif (line := _line(event)) is not None:
            self.say(line)

    def say(self, text: str) -> None:
        sys.stdout.write(f"{text}\n")
        sys.stdout.flush()


class _Logged:
    def show(self, event: RunEvent) -> None:
        _log.debug("%s %s %s", event.stage, event.kind, event.message)

    def say(self, text: str) -> None:
        _log.warning("%s", text)


def numbers(event: RunEvent) -> str:
    """Return loss and speed as text.

    >>> numbers(RunEvent(0.0, "progress", values={"loss": 1.23456, "tokens_per_second": 9876.5}))
    'loss 1.235  9,876 tokens/s'
    """
    parts = []
    if "loss" in event.values:
        parts.append(f"loss {event.values['loss']:.3f}")
    if "tokens_per_second" in event.values:
        parts.append(f"{event.values['tokens_per_second']:,.0f} tokens/s")
    return "  ".join(parts)


def _left(first: RunEvent, now: RunEvent) -> str:
    """Return how long the rest will take at the speed so far, if it is known how much that is."""
    if now.step <= first.step or now.total <= now.step:
        return ""
    seconds = (now.time - first.time) / (now.step - first.step) * (now.total - now.step)
    return f"  {int(seconds) // 60}:{int(seconds) % 60:02d} left"


def _line(event: RunEvent) -> str | None:
    if event.kind == "warning":
        return f"  warning: {event.message}"
    if event.kind == "state":
        return f"  {event.message}"
    if event.kind == "log":
        return f"  {event.message}"
    if event.kind == "stage" and event.message == "done":
        return f"  {event.stage} took {event.values.get('seconds', 0.0):.1f} s"
    if event.kind == "metrics" and "eval_loss" in event.values:
        return f"  step {event.step}: validation loss {event.values['eval_loss']:.3f}"
    return f"run {event.message}" if event.kind == "status" else None


def _stage(stage: str) -> str:
    return f"{STAGES.index(stage) + 1}/{len(STAGES)} {stage}" if stage in STAGES else stage
