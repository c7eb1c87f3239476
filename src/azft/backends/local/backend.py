"""The local backend: every port, each in a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from azft.backends.local.endpoints import LocalEndpoints
from azft.backends.local.home import Home
from azft.backends.local.inputs import check_inputs, local_component, precision_findings
from azft.backends.local.models import find_local_model
from azft.backends.local.runs import LocalRuns
from azft.backends.local.tracking import Tracking
from azft.domain.capabilities import EVERYTHING
from azft.domain.component import Component
from azft.domain.compute import Compute, ComputeSize, Usage, machines
from azft.domain.evaluation import Answer, EvaluationReport
from azft.domain.findings import Finding
from azft.domain.job import Job
from azft.domain.model import Model
from azft.domain.plan import Plan
from azft.domain.resource import Endpoint, Leftover, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunResult, RunState
from azft.domain.specs import ModelSpec
from azft.domain.trainers import CHAT_PIPELINE, ENGINE, SCRIPT, Trainer
from azft.engine.gguf import check_gguf, is_gguf
from azft.engine.machine import cores, gpu_memory_gib, gpus
from azft.errors import UnsupportedError
from azft.ports import TRAINER
from azft.rules.engine_inputs import process_findings
from azft.rules.engine_memory import memory_findings
from azft.stages.plain import mlflow_model
from azft.views.description import Line, View, facts

GIB = 2**30


class LocalBackend(Line):
    """Runs everything on this machine; what it keeps is below `folder`."""

    name = "local"
    takes = EVERYTHING
    trainers = (ENGINE, CHAT_PIPELINE, SCRIPT)
    run_prefix = "run"

    def __init__(self, folder: str | Path = ".azft") -> None:
        self.home = Home(folder)
        self._runs = LocalRuns(self.home)
        self._endpoints = LocalEndpoints(self.home)

    def view(self) -> View:
        """Describe this machine."""
        folder = str(self.home.root)
        rows = [("machine", self.list_sizes()[0].name), ("folder", folder)]
        return View("Local backend", f"local, in {folder}", (facts("", rows),))

    def find_model(self, spec: ModelSpec) -> Model:
        """Return the user's weights, or the stand-in for a registry name."""
        return find_local_model(spec)

    def find_compute(self, name: str) -> Compute | None:
        """Return this machine, under the name "local" or none."""
        if name not in {"", "local"}:
            return None
        size = self.list_sizes()[0]
        return machines("local", size, nodes=1)

    def list_sizes(self) -> Sequence[ComputeSize]:
        """Return the one size there is."""
        memory = round(psutil.virtual_memory().total / GIB, 1)
        count = gpus()
        name = f"{cores()} cores, {memory:g} GiB" + (f", {count} GPU" if count else "")
        return [ComputeSize(name, count, cores(), memory, gpu_memory_gib=gpu_memory_gib() if count else 0.0)]

    def usage(self) -> Sequence[Usage]:
        """Return nothing: no quota holds here."""
        return []

    def create_compute(
        self,
        name: str,
        size: str,
        *,
        max_nodes: int = 1,
        tier: str = "Dedicated",
        tags: Mapping[str, str] | None = None,
    ) -> Compute:
        """Refuse: machines cannot be made here."""
        raise UnsupportedError(
            f"cannot create {name!r} ({size}, {tier}, {max_nodes} nodes) on this machine", hint="leave compute= out"
        )

    def component(self, trainer: Trainer = TRAINER) -> Component:
        """Return the Azure component's inputs and the local ones."""
        return local_component()

    def check(self, plan: Plan) -> Sequence[Finding]:
        """Say which inputs are ignored or refused here, and that a stand-in is a stand-in."""
        findings = check_inputs(plan.parameters)
        if plan.model.stand_in:
            found = "no weights were given, so a small Phi-3-architecture network stands in for it"
            fix = "ModelSpec(..., weights=FOLDER or HUB ID) fine-tunes the real model"
            findings.append(Finding("AZFT-M101", "note", plan.model.name, found, fix=fix))
        if is_gguf(plan.model.weights):
            found = f"the weights are a GGUF file ({check_gguf(Path(plan.model.weights))}), dequantised to 32 bit once"
            findings.append(Finding("AZFT-M102", "note", plan.model.name, found, fix="nothing to do"))
        findings += precision_findings(plan.parameters, gpus=plan.compute.gpus)
        findings += process_findings(plan.parameters, gpus=plan.compute.gpus)
        findings += memory_findings(plan)
        return findings

    def uploads(self, job: Job) -> Sequence[str]:
        """Return nothing: a run's folder holds its data."""
        return ()

    def submit(self, job: Job) -> Run:
        """Start the job in a process of its own and return at once."""
        return self._runs.submit(job)

    def find_run(self, run_id: str) -> Run:
        """Return the run of that id."""
        return self._runs.find_run(run_id)

    def state(self, run_id: str) -> RunState | None:
        """Return where the run of that id stands; None if there is none."""
        return self._runs.state(run_id)

    def events(
        self, run: Run, *, poll: float = 0.2, timeout: float | None = None, queue_timeout: float | None = None
    ) -> Iterator[RunEvent]:
        """Yield the run's events; a run whose process was killed goes on from its last checkpoint."""
        return self._runs.events(run, poll=poll, timeout=timeout, queue_timeout=queue_timeout)

    def resume(self, run: Run) -> Run:
        """Go on with a failed run from its last checkpoint."""
        return self._runs.resume(run)

    def result(self, run: Run) -> RunResult:
        """Return where the run stands."""
        return self._runs.result(run)

    def evaluation(self, run: Run) -> EvaluationReport:
        """Return the comparison of base and tuned model."""
        return self._runs.evaluation(run)

    def answers(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
        """Ask both models of a completed run."""
        return self._runs.answers(run, questions)

    def cancel(self, run: Run) -> None:
        """Ask the run to stop."""
        self._runs.cancel(run)

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions a model of that name already has; a store that does not exist has none."""
        return Tracking(self.home).versions(name) if self.home.database.exists() else ()

    def register(self, run: Run, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the run's model in the embedded MLflow registry, once."""
        self.find_run(run.id)
        return Tracking(self.home).register(run, name, tags)

    def register_folder(self, folder: Path, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the model in a folder in the embedded MLflow registry, once."""
        with mlflow_model(folder, name) as model:
            return Tracking(self.home).register_folder(model, name, tags)

    def deploy(
        self,
        model: RegisteredModel,
        name: str = "",
        *,
        port: int = 0,
        onto: str = "",
        traffic: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Start a scoring server on loopback; here every endpoint has one model."""
        if onto or traffic:
            raise UnsupportedError(f"onto={onto!r}: an endpoint here answers for one model", hint="leave onto= out")
        return self._endpoints.deploy(model, name, port=port, tags=tags)

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer of a deployed model."""
        return self._endpoints.ask(endpoint, messages, **settings)

    def stream(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer of a deployed model as it comes."""
        yield from self._endpoints.stream(endpoint, messages, **settings)

    def delete(self, resource: Resource) -> None:
        """Delete an endpoint, a model version, or a run with its folder."""
        if resource.kind == "endpoint":
            self._endpoints.delete(resource.name, resource.token)
        elif resource.kind == "run":
            self._runs.delete(resource.name, resource.token)
        elif resource.kind == "model":
            name, _, version = resource.name.rpartition(":")
            if self.home.database.exists():
                Tracking(self.home).delete_version(name, version, resource.token)
        else:
            raise UnsupportedError(f"this machine has no {resource.kind} to delete")

    def leftovers(self) -> Sequence[Leftover]:
        """Return every endpoint, run and registered model that is kept below the folder."""
        models = Tracking(self.home).leftovers() if self.home.database.exists() else ()
        return [*self._endpoints.leftovers(), *self._runs.leftovers(), *models]
