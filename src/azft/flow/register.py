"""Step 7: put the tuned model into the registry, with where it comes from."""

from __future__ import annotations

from typing import Protocol

from azft.domain.expecting import expect_run
from azft.domain.resource import RegisteredModel, Resource
from azft.domain.run import Run, RunStatus
from azft.errors import ConfigurationError, RunError
from azft.ledger import Ledger
from azft.ports import ModelStore, RunService
from azft.rules.marks import TOKEN
from azft.rules.naming import name_findings


class _Registry(RunService, ModelStore, Protocol):
    """What registering needs: to ask how the run ended, and to store its model."""


class ModelRegistrar:
    """Registers the model of a completed run, once; the ledger, where one is given, knows of it before."""

    def __init__(self, backend: _Registry, ledger: Ledger | None = None) -> None:
        self._backend = backend
        self._ledger = ledger

    def register(self, run: Run, name: str) -> RegisteredModel:
        """Return the registered version; the same run under the same name gives the same version again."""
        expect_run(run, Run)
        problems = name_findings("name", name)
        if problems:
            raise ConfigurationError(
                f"{name!r} cannot be the name of a registered model", hint=f"expected {problems[0].expected}"
            )
        status = self._backend.result(run).status
        if status is not RunStatus.COMPLETED:
            raise RunError(
                f"{run.id} is {status}, so there is no model to register",
                run,
                status,
                hint="watch it until it completes",
            )
        tags = {"azft.run": run.id, "azft.display_name": run.display_name}
        if self._ledger is None:
            return self._backend.register(run, name, tags)
        # The version is the registry's to choose: until it has, the intent's token tells which one is ours.
        with self._ledger.making("model", f"{name}:", run.backend) as intent:
            model = self._backend.register(run, name, {**tags, **intent.tags})
        token = model.tags.get(TOKEN, "")
        self._ledger.made(Resource("model", f"{model.name}:{model.version}", run.backend, token))
        self._ledger.gone(intent.resource)
        return model
