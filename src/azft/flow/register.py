"""Step 7: put the tuned model into the registry, with where it comes from."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path, PurePath
from typing import Protocol

from azft.domain.expecting import expect_run
from azft.domain.resource import RegisteredModel, Resource
from azft.domain.run import Run, RunStatus
from azft.errors import ConfigurationError, RunError, UnsupportedError
from azft.files import sha256_of_folder
from azft.ledger import Ledger
from azft.ports import ModelStore, RunService
from azft.rules.marks import FOLDER, TOKEN
from azft.rules.naming import name_findings

MLMODEL = "MLmodel"
"""The file that makes a folder an MLflow model."""


class _Registry(RunService, ModelStore, Protocol):
    """What registering needs: to ask how the run ended, and to store its model."""

    @property
    def name(self) -> str:
        """The name of the backend."""
        ...


class ModelRegistrar:
    """Registers the model of a completed run or of a folder, once; the ledger, where there is one, knows of it before.

    A folder holds an MLflow model, or weights with their configuration and tokenizer as `save_pretrained` writes them,
    which are registered as an MLflow model for chat; that needs the extra `local`.
    """

    def __init__(self, backend: _Registry, ledger: Ledger | None = None) -> None:
        self._backend = backend
        self._ledger = ledger

    def register(self, source: Run | str | Path, name: str) -> RegisteredModel:
        """Return the registered version; the same run or content under the same name gives the same version again."""
        folder = Path(source) if isinstance(source, str | PurePath) and os.path.isdir(source) else None
        if folder is None:
            expect_run(source, Run)
        problems = name_findings("name", name)
        if problems:
            raise ConfigurationError(
                f"{name!r} cannot be the name of a registered model", hint=f"expected {problems[0].expected}"
            )
        if folder is not None:
            return self._of_folder(folder.absolute(), name)
        assert isinstance(source, Run)  # noqa: S101 - anything else was refused above
        run = source
        status = self._backend.result(run).status
        if status is not RunStatus.COMPLETED:
            raise RunError(
                f"{run.id} is {status}, so there is no model to register",
                run,
                status,
                hint="watch it until it completes",
            )
        tags = {"azft.run": run.id, "azft.display_name": run.display_name}
        return self._written_down(name, lambda more: self._backend.register(run, name, {**tags, **more}))

    def _of_folder(self, folder: Path, name: str) -> RegisteredModel:
        if not (folder / MLMODEL).is_file() and not (folder / "config.json").is_file():
            raise ConfigurationError(
                f"{folder} holds no model: neither {MLMODEL} nor config.json is in it",
                hint="give a folder of mlflow.transformers.save_model() or of save_pretrained()",
            )
        if not hasattr(self._backend, "register_folder"):
            raise UnsupportedError("this backend registers models of runs alone", hint="session.register(run)")
        tags = {FOLDER: sha256_of_folder(folder)}
        return self._written_down(name, lambda more: self._backend.register_folder(folder, name, {**tags, **more}))

    def _written_down(self, name: str, make: Callable[[Mapping[str, str]], RegisteredModel]) -> RegisteredModel:
        """Return what is made, which the ledger knows of before it is there."""
        if self._ledger is None:
            return make({})
        place = self._backend.name
        # The version is the registry's to choose: until it has, the intent's token tells which one is ours.
        with self._ledger.making("model", f"{name}:", place) as intent:
            model = make(intent.tags)
        token = model.tags.get(TOKEN, "")
        self._ledger.made(Resource("model", f"{model.name}:{model.version}", place, token))
        self._ledger.gone(intent.resource)
        return model
