"""The losses that a run tells, kept as lines over its steps."""

from __future__ import annotations

import math

from azft.domain.run import RunEvent

NAMES = {"loss": "training", "eval_loss": "validation"}
"""What a value of an event is called in a picture."""


class LossCurves:
    """Hears events; a step that is told twice, after a resume, counts once.

    >>> heard = LossCurves()
    >>> heard.hear(RunEvent(0.0, "progress", step=1, total=2, values={"loss": 3.0}))
    >>> heard.lines
    {'training': ((1.0, 3.0),)}
    """

    def __init__(self) -> None:
        self._points: dict[str, dict[int, float]] = {}

    def hear(self, event: RunEvent) -> None:
        """Take one event."""
        for name, line in NAMES.items():
            if math.isfinite(event.values.get(name, math.nan)):
                self._points.setdefault(line, {})[event.step] = event.values[name]

    @property
    def lines(self) -> dict[str, tuple[tuple[float, float], ...]]:
        """The points of each line, by step."""
        return {
            line: tuple((float(step), value) for step, value in sorted(points.items()))
            for line, points in self._points.items()
        }
