"""What makes two runs the same: one plan, the same data, the same place; and the id that follows from it."""

from __future__ import annotations

import hashlib

import orjson

from azft.domain.job import Job
from azft.domain.parameters import Parameters, ParameterValue
from azft.rules.parameters import COMPONENT

SHOWN = 12
"""Hexadecimal digits of the key that the id of a run shows: two keys of ten thousand meet with one in five million."""


def chosen(parameters: Parameters) -> dict[str, ParameterValue]:
    """Return what somebody chose; the component's own defaults come with its version."""
    return {entry.name: entry.value for entry in parameters.entries if entry.source != COMPONENT}


def job_key(job: Job) -> str:
    """Return the digest of everything that decides what a run makes: SHA-256, in hexadecimal.

    Names for people, the day, and the folder that the data lies in do not count.
    """
    model = job.model
    parts: dict[str, object] = {
        "model": model.id or model.weights or model.name,
        "code": model.trust_remote_code,
        "data": [file.sha256 for file in (job.data.train, job.data.validation, job.data.test)],
        "not counted": job.data.trained_on,
        "template": job.data.chat_template,
        "compute": [job.compute.name, job.compute.size, job.compute.tier],
        "component": [job.component, job.component_version],
        "parameters": dict(sorted(chosen(job.parameters).items())),
        "model name": job.model_name,
        "experiment": job.experiment,
    }
    if job.trainer.script is not None:
        parts["script"] = [job.trainer.script.name, job.trainer.sha256, *job.trainer.script.arguments]
        parts |= {"packages": job.trainer.script.packages} if job.trainer.script.packages else {}
    return hashlib.sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()


def run_id(key: str, attempt: int, prefix: str = "azft") -> str:
    """Return the id of a run, the same for the same key.

    >>> run_id("0123456789abcdef", 1), run_id("0123456789abcdef", 3, "run")
    ('azft-0123456789ab', 'run-0123456789ab-3')
    """
    return f"{prefix}-{key[:SHOWN]}" + (f"-{attempt}" if attempt > 1 else "")
