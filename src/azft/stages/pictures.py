"""Draw the loss of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from azft.domain.run import RunEvent


def loss_curve(events: Sequence[RunEvent], path: Path) -> None:
    """Write a PNG of training and validation loss by step; a step told twice, after a resume, counts once."""
    from matplotlib.figure import Figure

    curves = {
        "training": {event.step: event.values["loss"] for event in events if "loss" in event.values},
        "validation": {event.step: event.values["eval_loss"] for event in events if "eval_loss" in event.values},
    }
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for label, points in curves.items():
        if points:
            steps = sorted(points)
            axes.plot(steps, [points[step] for step in steps], marker="o" if label == "validation" else "", label=label)
    axes.set_xlabel("step")
    axes.set_ylabel("loss (nats per token)")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
