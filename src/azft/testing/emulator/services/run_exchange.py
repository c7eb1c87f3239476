"""A job as MLflow's run and back: ids, name, times and tags, each in the other's words."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any

from azft.testing.emulator.shapes import check_tags
from azft.testing.emulator.state import Document
from azft.testing.emulator.story import Step, Story
from azft.testing.emulator.wire import WireError

ENDED = {"Completed": "FINISHED", "Failed": "FAILED", "Canceled": "KILLED"}
TELLING = {"runs/set-tag", "runs/delete-tag", "runs/log-batch", "runs/update"}
"""Calls that say something of a run that its job has, too."""
_RUN_KEYS = ("run_id", "run_uuid")
_OWN = "mlflow."
"""What the tags begin with that MLflow keeps for itself."""
_NAME = "mlflow.runName"
_TAG = re.compile(r"[/\w.\- :]{1,250}")
_NAMED = re.compile(
    r"(?<![\w.])((?:(?:attributes?|attr|run)\.)?`?(?:source_)?run_id`?\s*(?:!?=|(?:NOT\s+)?IN)\s*)"
    r"(\([^)]*\)|'[^']*'|\"[^\"]*\")",
    re.IGNORECASE,
)
"""Ids of runs in a search."""


def root_of(document: Document, story: Story) -> dict[str, Any]:
    """Return the run that is a job, as the mirror takes it."""
    name = str(document["properties"].get("displayName") or document["name"])
    run = _run(document, document["name"], document["name"], name, story.status)
    run |= {"begun": story.begun or document["submitted"], "ended_at": story.ended or 0.0}
    tags = document["properties"].get("tags") or {}
    run["tags"] |= {key: value or "" for key, value in tags.items() if _is_tag(key)}
    return {**run, "points": []}


def _is_tag(key: str) -> bool:
    """Whether MLflow takes a tag of that name; those that it does not are the job's alone (mlflow, validation).

    >>> _is_tag("azft.run"), _is_tag("a/b"), _is_tag("who@where"), _is_tag("../a")
    (True, True, False, False)
    """
    return bool(_TAG.fullmatch(key)) and posixpath.normpath(key) == key and not key.startswith(("/", ".."))


def child_of(document: Document, step: Step) -> dict[str, Any]:
    """Return the run that is a step of a job, with what it has measured."""
    trained = step.name == "chat_completion_finetune" and "local_run" in document
    run = _run(document, step.id, document["local_run"] if trained else step.id, step.name, step.status)
    run["tags"]["mlflow.parentRunId"] = document["name"]
    run |= {"begun": step.begun or document["submitted"], "ended_at": step.ended or 0.0}
    return {**run, "points": [(point.name, point.value, point.time, point.step) for point in step.metrics]}


def _run(document: Document, azure_id: str, run_id: str, name: str, status: str) -> dict[str, Any]:
    tags = {"mlflow.rootRunId": document["name"], _NAME: name, "mlflow.user": "azft"}
    experiment = str(document["properties"].get("experimentName") or "Default")
    ended = ENDED.get(status, "")
    return {
        "azure_id": azure_id,
        "run_id": run_id,
        "experiment": experiment,
        "name": name,
        "tags": tags,
        "ended": ended,
    }


def exchanged(values: Any, known: Mapping[str, str]) -> Any:
    """Return a query or a body with Azure's run ids replaced, where they are ids and not text that is searched for."""
    if not isinstance(values, Mapping):
        return values

    def put_in(found: re.Match[str]) -> str:
        return found[1] + re.sub(r"[\w.-]+", lambda word: known.get(word[0], word[0]), found[2])

    return {
        key: known.get(str(value), value)
        if key in _RUN_KEYS
        else _NAMED.sub(put_in, value)
        if key == "filter" and isinstance(value, str)
        else value
        for key, value in values.items()
    }


def told_of_run(what: str, body: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a call says of a run that its job has, too; `known` are the job's tags.

    >>> told_of_run("runs/set-tag", {"key": "mlflow.runName", "value": "n"}, {})
    {'displayName': 'n'}
    >>> told_of_run("runs/log-batch", {"tags": [{"key": "a", "value": "1"}, {"key": "mlflow.user", "value": "u"}]}, {})
    {'tags': {'a': '1'}}
    """
    given = body.get("tags") or [] if what == "runs/log-batch" else [body] if what == "runs/set-tag" else []
    told = {str(tag["key"]): str(tag.get("value", "")) for tag in given}
    tags = {key: value for key, value in told.items() if not key.startswith(_OWN)}
    name = told.get(_NAME) or (body.get("run_name") if what == "runs/update" else "")
    changed: dict[str, Any] = {"displayName": str(name)} if name else {}
    # More than a job may have is the run's alone: the job could not be changed any more.
    return {**changed, "tags": tags} if tags and _fits({**known, **tags}) else changed


def _fits(tags: Mapping[str, Any]) -> bool:
    try:
        check_tags(tags, limited=True)
    except WireError:
        return False
    return True
