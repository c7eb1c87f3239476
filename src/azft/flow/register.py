"""Step 7: put the tuned model into the registry, with where it comes from."""

from __future__ import annotations

from typing import Protocol

from azft.domain.resource import RegisteredModel
from azft.domain.run import Run, RunStatus
from azft.errors import ConfigurationError, RunError
from azft.ports import ModelStore, RunService

LONGEST = 255


class _Registry(RunService, ModelStore, Protocol):
    """What registering needs: to ask how the run ended, and to store its model."""


class ModelRegistrar:
    """Registers the model of a completed run, once."""

    def __init__(self, backend: _Registry) -> None:
        self._backend = backend

    def register(self, run: Run, name: str) -> RegisteredModel:
        """Return the registered version; the same run under the same name gives the same version again."""
        if not name or len(name) > LONGEST or set(name) & set("/:"):
            raise ConfigurationError(
                f"{name!r} cannot be the name of a registered model", hint="1 to 255 characters without '/' and ':'"
            )
        status = self._backend.result(run).status
        if status is not RunStatus.COMPLETED:
            raise RunError(
                f"{run.id} is {status}, so there is no model to register",
                run,
                status,
                hint="watch it until it completes",
            )
        return self._backend.register(run, name, {"azft.run": run.id, "azft.display_name": run.display_name})
