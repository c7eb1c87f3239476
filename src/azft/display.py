"""Show a run: a live line on a terminal, plain lines elsewhere, or only the log."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from azft.domain.run import Run, RunEvent, loss_curves
from azft.rules.curves import LossCurves
from azft.views.description import Lines, Part, View
from azft.views.html import as_html
from azft.views.text import encodable, sparkline

_log = logging.getLogger("azft.watch")
STAGES = ("import", "preprocess", "finetune", "evaluate", "export")
SAID = 12
"""Lines of a run that a notebook keeps below the picture."""
REDRAWN_EVERY = 0.5
"""Seconds between two drawings of a notebook's picture."""
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
    if console.is_jupyter:
        yield _Notebook(run)
        return
    if not console.is_terminal or console.is_dumb_terminal:
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
        _write(text)
    else:
        _log.info("%s", text)


class _Live:
    def __init__(self, run: Run, progress: Any) -> None:
        self._progress = progress
        self._progress.console.print(f"{run.id}  {run.display_name}")
        self._task = progress.add_task("queued", total=None, numbers="")
        self._losses: list[float] = []
        self._fancy = (progress.console.encoding or "").lower().startswith("utf")

    def show(self, event: RunEvent) -> None:
        if event.kind == "stage" and event.message == "started":
            self._progress.reset(self._task, description=_stage(event.stage), total=None, numbers="")
        elif event.kind == "progress":
            if "loss" in event.values:
                self._losses.append(event.values["loss"])
            drawn = f"  {sparkline(self._losses)}" if self._fancy and len(self._losses) > 1 else ""
            self._progress.update(
                self._task,
                completed=event.step,
                total=event.total or None,
                numbers=numbers(event) + (drawn if "loss" in event.values else ""),
                refresh=True,
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
            if self._first.stage != event.stage:
                self._first = event
            self.say(f"  {numbers(event, named=True)}{_left(self._first, event)}")
        elif event.kind == "stage" and event.message == "started":
            self.say(_stage(event.stage))
        elif (line := _line(event)) is not None:
            self.say(line)

    def say(self, text: str) -> None:
        _write(text)


class _Logged:
    def show(self, event: RunEvent) -> None:
        _log.debug("%s %s %s", event.stage, event.kind, event.message)

    def say(self, text: str) -> None:
        _log.warning("%s", text)


class _Notebook:
    """Draws one picture that is updated in place: where the run stands, and its losses so far."""

    def __init__(self, run: Run) -> None:
        from IPython.display import display as shown

        self._curves = LossCurves()
        self._title = f"{run.id}  {run.display_name}"
        self._said: list[str] = []
        self._now = "queued"
        self._last = 0.0
        self._handle: Any = shown(self._drawn(), display_id=True)

    def show(self, event: RunEvent) -> None:
        self._curves.hear(event)
        if event.kind == "stage" and event.message == "started":
            self._now = _stage(event.stage)
        elif event.kind == "progress":
            self._now = f"{_stage(event.stage)}: {numbers(event, named=True)}"
            if event.time - self._last < REDRAWN_EVERY and event.step != event.total:
                return
        elif (line := _line(event)) is not None:
            self._said = [*self._said, line.strip()][-SAID:]
            self._now = line.strip() if event.kind == "status" else self._now
        self._last = event.time
        self._handle.update(self._drawn())

    def say(self, text: str) -> None:
        self._said = [*self._said, text][-SAID:]
        self._handle.update(self._drawn())

    def _drawn(self) -> Any:
        from IPython.display import HTML

        parts: list[Part] = [loss_curves(self._curves.lines)] if self._curves.lines else []
        parts += [Lines(self._said)] if self._said else []
        return HTML(as_html(View(self._title, self._now, parts)))


def numbers(event: RunEvent, *, named: bool = False) -> str:
    """Return loss and speed as text, and with `named` where the count stands before them.

    >>> numbers(RunEvent(0.0, "progress", values={"loss": 1.23456, "tokens_per_second": 9876.5}))
    'loss 1.235  9,876 tokens/s'
    """
    counted = event.message or "step"
    of = f" of {event.total}" if event.total else ""
    parts = [f"{counted} {event.step}{of}"] if named or event.message else []
    if "loss" in event.values:
        parts.append(f"loss {event.values['loss']:.3f}")
    if "tokens_per_second" in event.values:
        parts.append(f"{event.values['tokens_per_second']:,.0f} tokens/s")
    return "  ".join(parts)


def _write(text: str) -> None:
    """Write a line; what the output has no sign for is escaped, so that no encoding ends a watch."""
    sys.stdout.write(encodable(f"{text}\n", getattr(sys.stdout, "encoding", None) or "utf-8"))
    sys.stdout.flush()


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
