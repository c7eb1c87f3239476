"""Azure ML as a place to run: every port, each in a module of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.comparing import compare_models
from azft.backends.azureml.components import Components
from azft.backends.azureml.computes import AzureComputes
from azft.backends.azureml.endpoints import AzureEndpoints
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import run_details
from azft.backends.azureml.jobs import AzureJobs
from azft.backends.azureml.metrics import Metrics
from azft.backends.azureml.models import find_registry_model
from azft.backends.azureml.registering import AzureModels
from azft.backends.azureml.signin import Credential, find_workspace
from azft.backends.azureml.watching import POLL, Watcher, status_of
from azft.domain.capabilities import UNSEEN_TOOLS
from azft.domain.component import Component
from azft.domain.compute import Compute, ComputeSize, Usage
from azft.domain.evaluation import EvaluationReport
from azft.domain.findings import Finding
from azft.domain.job import Job
from azft.domain.model import Model
from azft.domain.plan import Plan
from azft.domain.resource import Endpoint, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunResult, RunStatus
from azft.domain.specs import ModelSpec
from azft.errors import RunError, UnsupportedError
from azft.rules.parameters import USER


class AzureMLBackend:
    """An Azure ML workspace.

    The workspace is found from the arguments, the environment (`AZURE_SUBSCRIPTION_ID`, `AZURE_RESOURCE_GROUP`,
    `AZUREML_WORKSPACE_NAME`) or `config.json`, in that order. `interactive` lets the browser open. `instance_type`,
    `instances` and `request_timeout` (seconds, up to 180) are for deployments. `poll` is the time in seconds between
    two looks at a job.
    """

    name = "azureml"
    takes = frozenset({UNSEEN_TOOLS})

    def __init__(
        self,
        *,
        subscription_id: str = "",
        resource_group: str = "",
        workspace: str = "",
        interactive: bool = False,
        instance_type: str = "",
        instances: int = 1,
        request_timeout: float = 90.0,
        poll: float = POLL,
        credential: Any = None,
    ) -> None:
        given = {"subscription_id": subscription_id, "resource_group": resource_group, "workspace": workspace}
        self.workspace = find_workspace(given)
        self._clients = Clients(credential or Credential(interactive=interactive), self.workspace)
        self._poll = poll
        self._components = Components(self._clients)
        self._computes = AzureComputes(self._clients)
        self._jobs = AzureJobs(self._clients, self._components)
        self._metrics = Metrics(self._clients)
        self._found: dict[str, Model] = {}
        self._models = AzureModels(self._clients)
        self._endpoints = AzureEndpoints(
            self._clients, instance_type=instance_type, instances=instances, request_timeout=request_timeout
        )

    def find_model(self, spec: ModelSpec) -> Model:
        """Return the registry's model with its metadata, by name, at its version or the latest."""
        found = find_registry_model(self._clients, spec)
        self._found[found.id] = found
        return found

    def find_compute(self, name: str) -> Compute | None:
        """Return the cluster, or serverless machines for the name of a machine size."""
        return self._computes.find(name)

    def list_sizes(self) -> Sequence[ComputeSize]:
        """Return the machine sizes of the region."""
        return self._computes.sizes()

    def usage(self) -> Sequence[Usage]:
        """Return the core quotas of the region."""
        return self._computes.usage()

    def create_compute(self, name: str, size: str, *, max_nodes: int = 1, tier: str = "Dedicated") -> Compute:
        """Create a cluster that scales down to nothing."""
        return self._computes.create(name, size, max_nodes=max_nodes, tier=tier)

    def component(self) -> Component:
        """Return the registry's chat fine-tuning pipeline as it is today."""
        return self._components.latest()

    def check(self, plan: Plan) -> Sequence[Finding]:
        """Say which inputs that the user set go nowhere."""
        dead = [
            entry.name
            for entry in plan.parameters.entries
            if entry.source == USER and (spec := plan.component.input(entry.name)) is not None and not spec.wired
        ]
        found = "the component declares it and connects it to nothing"
        return [Finding("AZFT-P101", "note", name, f"ignored: {found}", fix="leave it out") for name in dead]

    def submit(self, job: Job) -> Run:
        """Upload the data and submit the pipeline; returns once Azure has taken it."""
        return self._jobs.submit(job)

    def find_run(self, run_id: str) -> Run:
        """Return the run of that id, whoever started it."""
        return self._jobs.find(run_id)

    def events(self, run: Run, *, poll: float = 0.0, timeout: float | None = None) -> Iterator[RunEvent]:
        """Yield the run's events; `poll` 0 is what the backend was connected with."""
        yield from Watcher(self._clients, self._metrics, run).events(poll=poll or self._poll, timeout=timeout)

    def result(self, run: Run) -> RunResult:
        """Return where the run stands, with the last value of every metric."""
        details = self._details(run)
        status = status_of(details.status)
        with translated(f"run {run.id!r}"):
            latest = self._metrics.latest(run)
        message = details.error.error.message if details.error and details.error.error else ""
        studio = f"https://ml.azure.com/runs/{run.id}"
        return RunResult(run, status, latest, (), message or "", studio)

    def evaluation(self, run: Run) -> EvaluationReport:
        """Compare base and tuned model on this machine, from what the job left in storage."""
        status = status_of(self._details(run).status)
        if status is not RunStatus.COMPLETED:
            raise RunError(f"{run.id} has no evaluation", run, status, hint="watch the run until it has completed")
        return compare_models(self._clients, run, dict(self._jobs.get(run.id).tags or {}))

    def cancel(self, run: Run) -> None:
        """Ask the job to stop."""
        self._jobs.cancel(run.id)

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions a model of that name already has in the workspace."""
        return self._models.versions(name)

    def register(self, run: Run, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the job's output in the workspace, once."""
        job = self._jobs.get(run.id)
        status = status_of(job.status)
        if status is not RunStatus.COMPLETED:
            raise RunError(f"{run.id} has no model", run, status, hint="watch it until it has completed")
        return self._models.register(run, job, name, tags)

    def deploy(self, model: RegisteredModel, name: str = "", *, port: int = 0) -> Endpoint:
        """Deploy to a managed online endpoint; Azure chooses the port."""
        if port:
            raise UnsupportedError(f"port {port}: the port of an Azure endpoint cannot be chosen", hint="leave it out")
        return self._endpoints.deploy(model, name, self._deployable_on(model))

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer of a deployed model."""
        return self._endpoints.ask(endpoint, messages, **settings)

    def delete(self, resource: Resource) -> None:
        """Delete an endpoint or a cluster; stop a run; models and runs are archived, Azure deletes neither."""
        if resource.kind == "endpoint":
            self._endpoints.delete(resource.name)
        elif resource.kind == "compute":
            self._computes.delete(resource.name)
        elif resource.kind == "model":
            self._models.archive(*resource.name.rpartition(":")[::2])
        elif resource.kind == "run":
            if not status_of(self._jobs.get(resource.name).status).ended:
                self._jobs.cancel(resource.name)
            self._jobs.archive(resource.name)
        else:
            raise UnsupportedError(f"Azure ML has no {resource.kind} to delete")

    def _details(self, run: Run) -> Any:
        with translated(f"run {run.id!r}"):
            return run_details(self._clients.workspace, run.id)

    def _deployable_on(self, model: RegisteredModel) -> Sequence[str]:
        """Return the machine sizes of the base model's list, empty if the registry has none."""
        identity = model.tags.get("azft.base_model", "")
        parts = identity.split("/")
        if identity not in self._found and len(parts) == len(_REGISTRY_ID):
            named = dict(zip(_REGISTRY_ID, parts, strict=True))
            self.find_model(ModelSpec(named["model"], registry=named["registry"], version=named["version"]))
        known = self._found.get(identity)
        return () if known is None else known.card.inference_sizes.value or ()


_REGISTRY_ID = ("scheme", "", "registries", "registry", "models", "model", "versions", "version")
