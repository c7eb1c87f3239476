"""What azft's engine and scripts run in on Azure: pinned, and made once for a workspace, which builds it once."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import orjson
from attrs import evolve

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import absent, translated
from azft.domain.trainers import Trainer
from azft.snapshot import JobEnvironment, job_environment

NAME = "azft-engine"


def environment_of(trainer: Trainer) -> JobEnvironment:
    """Return what a trainer runs in: azft's own environment, with what its script needs beside that."""
    own, script = job_environment(), trainer.script
    pins = dict(package.split("==", 1) for package in script.packages) if script is not None else {}
    theirs = {_plain(name) for name in pins}
    return evolve(own, packages={**{name: v for name, v in own.packages.items() if _plain(name) not in theirs}, **pins})


def _plain(name: str) -> str:
    """Return a package's name as pip compares it (PEP 503), without its extras."""
    return re.sub(r"[-_.]+", "-", name.partition("[")[0]).lower()


def version_of(environment: JobEnvironment) -> str:
    """Return the version: a digest of all that the image is made of, so that it never changes under its name."""
    told = [environment.image, environment.python, sorted(environment.packages.items())]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]


class Environments:
    """azft's environment in one workspace."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known: dict[str, bool] = {}

    def is_there(self, environment: JobEnvironment) -> bool:
        """Whether the workspace has it already, and so has been asked to build its image before."""
        version = version_of(environment)
        if not self._known.get(version):
            with translated(f"environment {NAME}"):
                self._known[version] = (
                    absent(lambda: self._clients.workspace.environments.get(NAME, version)) is not None
                )
        return self._known[version]

    def was_missing(self, environment: JobEnvironment) -> bool:
        """Whether the last look has not found it; nothing is asked."""
        return self._known.get(version_of(environment)) is False

    def made(self, environment: JobEnvironment) -> str:
        """Return how a job names it, once the workspace has it."""
        version = version_of(environment)
        if not self.is_there(environment):
            with translated(f"environment {NAME}"):
                self._clients.workspace.environments.create_or_update(_entity(environment))
            self._known[version] = True
        return f"azureml:{NAME}:{version}"


def _entity(environment: JobEnvironment) -> Any:
    from azure.ai.ml.entities import Environment

    pins = [f"{name}=={version}" for name, version in environment.packages.items()]
    conda = {
        "name": NAME,
        "channels": ["conda-forge"],
        "dependencies": [f"python={environment.python}", "pip", {"pip": pins}],
    }
    return Environment(
        name=NAME,
        version=version_of(environment),
        image=environment.image,
        conda_file=conda,
        description="What azft's engine and scripts run in",
    )
