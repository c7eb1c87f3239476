"""Step 0: what works and what does not, before anything is planned: sign-in, workspace, quotas, versions, disk, GPU."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import psutil
from attrs import frozen

from azft.domain.specs import ModelSpec
from azft.engine.machine import cores, gpus
from azft.lookups.services import look_up
from azft.ports import Backend
from azft.rules.lifecycle import NO_MODEL
from azft.views.description import Table, View, Viewed

GIB = 2**30
LEAST_DISK = 5.0
"""GiB below which a small model and its checkpoint may not fit."""
WITHOUT_GPU = "small models need none"
WITHOUT_GPU = "small models need none"
PACKAGES = ("azure-ai-ml", "azure-identity", "datasets", "mlflow")
ENGINE = ("torch", "transformers", "peft", "accelerate")
State = Literal["works", "does not work", "look", "unknown"]


@frozen
class Examination:
    """One thing that was looked at: whether it works, what was found, and what to do about it."""

    subject: str
    state: State
    found: str
    fix: str = ""


@frozen(repr=False)
class Diagnosed(Viewed):
    """Everything that was looked at."""

    examinations: tuple[Examination, ...]

    @property
    def healthy(self) -> bool:
        """Whether nothing that is needed does not work."""
        return all(one.state != "does not work" for one in self.examinations)

    def view(self) -> View:
        """Describe it as one table, what is wrong with its fix."""
        rows = [(one.subject, one.state, one.found, one.fix) for one in self.examinations]
        wrong = sum(one.state == "does not work" for one in self.examinations)
        said = "everything works" if not wrong else f"{wrong} of {len(rows)} do not work"
        return View("Doctor", said, (Table("", ("what", "state", "found", "what to do"), rows),))


def examine(backend: Backend, folder: Path, *, model: ModelSpec, compute: str = "") -> Diagnosed:
    """Look at this machine and ask the backend; nothing is made, and nothing bills."""
    return Diagnosed((*_versions(local=backend.name == "local"), *_machine(folder), *_service(backend, model, compute)))


def _versions(*, local: bool) -> list[Examination]:
    python = f"{sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}"
    found = [Examination("Python", "works", python)]
    for name in (*PACKAGES, *(ENGINE if local else ())):
        try:
            found.append(Examination(name, "works", version(name)))
        except PackageNotFoundError:
            fix = "pip install 'azft[local]'" if name in ENGINE else f"pip install {name}"
            found.append(Examination(name, "does not work", "it is not installed", fix))
    return found


def _machine(folder: Path) -> list[Examination]:
    there = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(there).free / GIB
    memory = psutil.virtual_memory()
    fix = "free some" if free < LEAST_DISK else ""
    disk = Examination("disk", "look" if fix else "works", f"{free:.1f} GiB free at {there}", fix)
    return [
        disk,
        Examination("memory", "works", f"{memory.available / GIB:.1f} of {memory.total / GIB:.1f} GiB free"),
        Examination("processor", "works", f"{cores()} cores"),
        Examination("GPU", "works", f"{gpus()} GPUs") if gpus() else Examination("GPU", "look", "none", WITHOUT_GPU),
    ]


def _service(backend: Backend, model: ModelSpec, compute: str) -> list[Examination]:
    found = look_up(backend, model, compute)
    missing = [one for one in found.findings if one.code == NO_MODEL]
    wrong = [one for one in found.findings if one.code != NO_MODEL]
    said = [Examination(one.subject, "does not work", one.found, one.fix) for one in wrong]
    if not wrong:
        said.append(Examination("backend", "works", f"{backend.name} answers"))
    if missing:
        said.append(Examination("model", "does not work", missing[0].found, missing[0].fix))
    else:
        known = f"{found.model.name} {found.model.version}".strip()
        said.append(Examination("model", "unknown" if wrong else "works", known))
    said.append(Examination("component", "works" if not wrong else "unknown", found.component.version))
    quotas = [usage for usage in found.usage if usage.limit > 0]
    if backend.name == "local":
        return said
    if not quotas:
        fix = "ask for the role 'Reader' on the subscription"
        return [*said, Examination("quotas", "unknown", "none can be read", fix)]
    return [*said, Examination("quotas", "works", f"{len(quotas)} with cores, of {len(found.usage)} told")]
