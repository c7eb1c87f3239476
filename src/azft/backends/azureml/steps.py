"""The steps of a job, those of pipelines within it included."""

from __future__ import annotations

from typing import Any

from azft.backends.azureml.internals import child_runs

DEEPEST = 5
"""Pipelines within pipelines that are looked into."""


def descendants(client: Any, run_id: str, depth: int = 1) -> list[Any]:
    """Return the child runs of a job and of the pipelines among them, each before its own."""
    found: list[Any] = []
    for child in child_runs(client, run_id):
        found.append(child)
        if depth < DEEPEST and is_pipeline(child):
            found += descendants(client, str(child.run_id), depth + 1)
    return found


def is_pipeline(run: Any) -> bool:
    """Return whether a run is a pipeline itself, and so has steps."""
    source = str((getattr(run, "properties", None) or {}).get("azureml.runsource", ""))
    return "pipelinerun" in f"{getattr(run, 'run_type', '') or ''} {source}".lower()
