"""The steps of a job, those of pipelines within it included."""

from __future__ import annotations

from typing import Any

from azft.backends.azureml.internals import child_runs

USER_LOGS = "user_logs/"
"""Where the logs of a user's program are, a file for each process (Microsoft, View training logs, 2025)."""
BUILD_LOGS = "azureml-logs/"
"""Where the log of an image is that is built for it (Microsoft, How to troubleshoot environments, 2026)."""
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


def is_command(details: Any) -> bool:
    """Return whether a run is a command, as it has logs of its user's program itself; a pipeline's steps have them."""
    files = getattr(details, "log_files", None) or {}
    return not is_pipeline(details) and any(path.startswith((USER_LOGS, BUILD_LOGS)) for path in files)


def is_pipeline(run: Any) -> bool:
    """Return whether a run is a pipeline itself, and so has steps."""
    source = str((getattr(run, "properties", None) or {}).get("azureml.runsource", ""))
    return "pipelinerun" in f"{getattr(run, 'run_type', '') or ''} {source}".lower()
