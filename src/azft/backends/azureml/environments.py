"""The environment that azft's engine runs in: pinned, and made once for a workspace, which builds its image once."""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import absent, translated
from azft.snapshot import JobEnvironment, job_environment

NAME = "azft-engine"


def version_of(environment: JobEnvironment) -> str:
    """Return the version: a digest of all that the image is made of, so that it never changes under its name."""
    told = [environment.image, environment.python, sorted(environment.packages.items())]
    return hashlib.sha256(orjson.dumps(told)).hexdigest()[:16]


class Environments:
    """azft's environment in one workspace."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._known = False

    @property
    def reference(self) -> str:
        """How a job names it."""
        return f"azureml:{NAME}:{version_of(job_environment())}"

    def is_there(self) -> bool:
        """Whether the workspace has it already, and so has been asked to build its image before."""
        if not self._known:
            version = version_of(job_environment())
            with translated(f"environment {NAME}"):
                found = absent(lambda: self._clients.workspace.environments.get(NAME, version))
            self._known = found is not None
        return self._known

    def made(self) -> str:
        """Return how a job names it, once the workspace has it."""
        if not self.is_there():
            with translated(f"environment {NAME}"):
                self._clients.workspace.environments.create_or_update(_entity(job_environment()))
            self._known = True
        return self.reference


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
