"""What trains: azft's own engine, a pipeline of a registry, or a script of one's own."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from attrs import field, frozen

from azft.domain.pipelines import CHAT, PipelineTrainer
from azft.errors import ConfigurationError
from azft.files import code_files

ENGINE, CHAT_PIPELINE, SCRIPT, PIPELINE = "azft", CHAT.component, "script", "pipeline"
"""The names of azft's own engine and of the registry's pipeline for chat models, and what the others are."""


_PINNED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9][A-Za-z0-9.+!_-]*")


def _path(given: str | Path) -> Path:
    return Path(os.path.normpath(Path(given).expanduser().absolute()))


def _folder(given: str | Path | None) -> Path | None:
    return None if given is None else _path(given)


def _texts(given: Iterable[object]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given))


@frozen
class Script:
    """A training program of one's own, run with the base model, the prepared data and the parameters of the plan.

    `path` is a Python file; what it needs it asks of `azft.training.current_task()`, and what it makes it gives to
    `task.save(model)`. `arguments` are added to its command line. `code` is the folder that goes with it, where it
    imports modules of its own: the file must lie in it; without it the file goes alone. `packages` are installed beside
    azft's own where the script runs on other machines, each as "name==version"; here it finds what is installed.

    A session refuses a file that is not there, or not in its folder.
    """

    path: Path = field(converter=_path)
    arguments: tuple[str, ...] = field(default=(), converter=_texts)
    code: Path | None = field(default=None, converter=_folder)
    packages: tuple[str, ...] = field(default=(), converter=_texts)

    def check(self) -> None:
        """Refuse a file that is not there, or does not go along; a run that was begun has its own copy."""
        if not self.path.is_file():
            raise ConfigurationError(f"there is no script {self.path}", hint="Script('train.py') takes a Python file")
        if self.code is not None and not self.path.is_relative_to(self.code):
            raise ConfigurationError(
                f"the script {self.path} is not in its folder {self.code}", hint="code= is the folder that holds it"
            )
        for package in self.packages:
            if not _PINNED.fullmatch(package):
                raise ConfigurationError(
                    f"the script's package {package!r} has no version", hint='give it as "name==version"'
                )
        if self.name not in code_files(self.path, self.code):
            raise ConfigurationError(
                f"the script {self.path} is hidden, or in a folder that is left out", hint="give it another place"
            )

    @property
    def name(self) -> str:
        """The path of the file within what goes with it."""
        return self.path.name if self.code is None else self.path.relative_to(self.code).as_posix()


@frozen
class Trainer:
    """What trains, by name; a `script` or a `pipeline` where it is one. An empty name means the backend's own.

    `sha256` is a digest of the code, once a job is built.
    """

    name: str = ""
    script: Script | None = None
    sha256: str = ""
    pipeline: PipelineTrainer | None = None

    @classmethod
    def of(cls, given: Trainer | Script | PipelineTrainer) -> Trainer:
        """Return a script or a pipeline as what trains, under its own name."""
        if isinstance(given, Script):
            return cls(given.path.stem, given)
        return cls(given.name, pipeline=given) if isinstance(given, PipelineTrainer) else given

    @property
    def kind(self) -> str:
        """What a backend must be able to run: the trainer's name, or "script" and "pipeline" for any other."""
        if self.script is not None:
            return SCRIPT
        return PIPELINE if self.pipeline is not None and self.name != CHAT_PIPELINE else self.name

    @property
    def tunes(self) -> PipelineTrainer:
        """The pipeline, and that for chat models where none was chosen: the engine and scripts take its inputs."""
        return self.pipeline or CHAT

    @property
    def own(self) -> bool:
        """Whether azft's engine trains, or a script, and no pipeline of a registry."""
        return self.kind in {ENGINE, SCRIPT}

    def __str__(self) -> str:
        return self.name if self.script is None else f"{self.name} ({self.script.path})"
