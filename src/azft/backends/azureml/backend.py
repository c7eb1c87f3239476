"""Azure ML as a place to run: every port, each in a module of its own."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from attrs import evolve

from azft import ports
from azft.backends.azureml.attempts import is_command_job, stands
from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import Commands
from azft.backends.azureml.comparing import answers_of, ask_models, compare_models, report_of
from azft.backends.azureml.components import Components
from azft.backends.azureml.computes import AzureComputes
from azft.backends.azureml.containers import IMAGE
from azft.backends.azureml.endpoints import AzureEndpoints
from azft.backends.azureml.environments import Environments, environment_of, version_of
from azft.backends.azureml.failures import Ending, closing_look
from azft.backends.azureml.following import TAKEN_AWAY, Following
from azft.backends.azureml.jobs import SIZE, TRAINER, WHERE, AzureJobs
from azft.backends.azureml.judging import Judge, judging_id, questions_upload
from azft.backends.azureml.launching import Launching, command_findings, time_limits
from azft.backends.azureml.machines import withdrawn
from azft.backends.azureml.metrics import Metrics
from azft.backends.azureml.models import find_registry_model
from azft.backends.azureml.registering import AzureModels
from azft.backends.azureml.serving import Serving
from azft.backends.azureml.signin import Credential, find_workspace
from azft.backends.azureml.states import status_of
from azft.backends.azureml.watching import PATIENCE, POLL, Watcher
from azft.domain.capabilities import UNSEEN_TOOLS
from azft.domain.component import Component
from azft.domain.compute import SERVERLESS, Compute, ComputeSize, Usage, machines
from azft.domain.evaluation import Answer, EvaluationReport
from azft.domain.findings import Finding
from azft.domain.job import Job
from azft.domain.model import Model
from azft.domain.plan import Plan
from azft.domain.resource import Endpoint, Leftover, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunResult, RunState, RunStatus
from azft.domain.specs import ModelSpec
from azft.domain.trainers import CHAT_PIPELINE, ENGINE, PIPELINE, SCRIPT, Trainer
from azft.errors import RunError, UnsupportedError
from azft.rules.engine_inputs import engine_component, input_findings, process_findings
from azft.rules.engine_memory import memory_findings
from azft.rules.marks import TOKEN
from azft.rules.parameters import USER
from azft.rules.pipeline_inputs import bypassing
from azft.rules.quotas import deployment_findings, quota_findings
from azft.snapshot import chat_completion_pipeline
from azft.stages.plain import mlflow_model
from azft.views.description import Line, View, facts


class AzureMLBackend(Line):
    """An Azure ML workspace.

    The workspace is found from the arguments, the environment (`AZURE_SUBSCRIPTION_ID`, `AZURE_RESOURCE_GROUP`,
    `AZUREML_WORKSPACE_NAME`) or `config.json`, in that order. `interactive` lets the browser open. `instance_type`,
    `instances`, `request_timeout` (seconds, up to 180), `auth_mode` ("key", "aad_token", "aml_token"), `probe_delay`
    (seconds until the container must answer) and `environment` are for deployments; `server="vllm"` serves plain
    weights with OpenAI's face in vLLM's container, of the image `server_image` and with `server_arguments`. `poll` is
    the time in seconds between two looks at a job, and `patience` for how many seconds a look may fail before watching
    ends.

    The rest is for azft's engine and scripts: `job_timeout` seconds after which Azure ends a job (0 for none),
    `job_identity` ("user", "managed", or the compute's own without), `job_tier` of serverless machines ("Standard",
    "Spot"), `job_environment` in place of azft's own, and `restarts`, how often a job is submitted again whose machines
    were taken away.
    """

    name = "azureml"
    trainers: tuple[str, ...] = (CHAT_PIPELINE, ENGINE, SCRIPT, PIPELINE)
    takes = frozenset({UNSEEN_TOOLS})
    run_prefix = "azft"

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
        auth_mode: str = "key",
        probe_delay: int = 600,
        environment: str = "",
        server: str = "",
        server_image: str = IMAGE,
        server_arguments: str = "",
        poll: float = POLL,
        patience: float = PATIENCE,
        job_timeout: float = 0.0,
        job_identity: str = "",
        job_tier: str = "Standard",
        job_environment: str = "",
        restarts: int = 3,
        credential: Any = None,
    ) -> None:
        told = {name: value for name, value in locals().items() if name not in {"self", "credential"}}
        given = {"subscription_id": subscription_id, "resource_group": resource_group, "workspace": workspace}
        self.workspace = find_workspace(given)
        self._clients = Clients(credential or Credential(interactive=interactive), self.workspace)
        self._poll = poll
        self._components = Components(self._clients)
        self._computes = AzureComputes(self._clients)
        self._environments = Environments(self._clients)
        launching = Launching(job_timeout, job_identity, job_tier, restarts, job_environment).checked()
        self._launching = launching
        self._commands = Commands(self._environments, launching)
        self._jobs = AzureJobs(self._clients, self._components, self._commands)
        self._metrics = Metrics(self._clients)
        self._found: dict[str, Model] = {}
        self._models = AzureModels(self._clients)
        self._patience = patience
        serving = Serving(
            instance_type,
            instances,
            request_timeout,
            auth_mode,
            probe_delay,
            environment,
            server,
            server_image,
            server_arguments,
        )
        self._endpoints = AzureEndpoints(self._clients, serving, self._quota_of_deployment)
        usual = inspect.signature(AzureMLBackend).parameters
        self.settings: Mapping[str, str | int | float | bool] = {
            **{name: value for name, value in told.items() if value != usual[name].default},
            "subscription_id": self.workspace.subscription_id,
            "resource_group": self.workspace.resource_group,
            "workspace": self.workspace.workspace,
        }
        """What `connect` takes to be here again; a credential is in no file."""

    def view(self) -> View:
        """Describe the workspace; nothing is asked of it."""
        found = self.workspace
        rows = [
            ("workspace", found.workspace),
            ("resource group", found.resource_group),
            ("subscription", found.subscription_id),
        ]
        return View("Azure ML backend", f"azureml, workspace {found.workspace}", (facts("", rows),))

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

    def create_compute(
        self,
        name: str,
        size: str,
        *,
        max_nodes: int = 1,
        tier: str = "Dedicated",
        tags: Mapping[str, str] | None = None,
    ) -> Compute:
        """Create a cluster that scales down to nothing; one that is there is returned if it fits, and never changed."""
        marked = {TOKEN: uuid.uuid4().hex, **(tags or {})}
        return self._computes.create(name, size, max_nodes=max_nodes, tier=tier, tags=marked)

    def component(self, trainer: Trainer = ports.TRAINER) -> Component:
        """Return the registry's pipeline as it is today, or what azft's engine and scripts take.

        For those the workspace is asked for their environment instead, so that a plan takes as many questions.
        """
        if not trainer.own:
            return self._components.of(trainer.tunes)
        environment = environment_of(trainer)
        if not self._launching.environment:
            self._environments.is_there(environment)
        own = engine_component(chat_completion_pipeline(), datetime.now(UTC).date())
        return evolve(own, name=ENGINE, version=version_of(environment))

    def check(self, plan: Plan) -> Sequence[Finding]:
        """Say which inputs that the user set go nowhere, and what could not be read with the roles at hand."""
        if plan.trainer.own:
            memory = memory_findings(plan, subject=plan.compute.name)
            inputs = input_findings(plan.parameters)
            processes = process_findings(plan.parameters, gpus=plan.compute.gpus)
            missing = self._environments.was_missing(environment_of(plan.trainer))
            said = command_findings(plan, self._launching, to_be_built=missing)
            return [*inputs, *processes, *memory, *said, *self._computes.unread()]
        dead = [
            entry.name
            for entry in plan.parameters.entries
            if entry.source == USER and (spec := plan.component.input(entry.name)) is not None and not spec.wired
        ]
        found = "the component declares it and connects it to nothing"
        ignored = [Finding("AZFT-P101", "note", name, f"ignored: {found}", fix="leave it out") for name in dead]
        return [*ignored, *bypassing(plan), *self._computes.unread()]

    def time_limits(self, plan: Plan) -> Sequence[tuple[str, float]]:
        """Return the seconds that a command job may last, each with what says so: a run's, or its comparison's."""
        return time_limits(plan.compute, self._launching)

    def uploads(self, job: Job) -> Sequence[str]:
        """Return where the job's files will lie in the workspace's store."""
        return self._jobs.uploads(job)

    def submit(self, job: Job) -> Run:
        """Upload the data and submit the pipeline; returns once Azure has taken it."""
        return self._jobs.submit(job)

    def find_run(self, run_id: str) -> Run:
        """Return the run of that id, whoever started it."""
        return self._jobs.find(run_id)

    def state(self, run_id: str) -> RunState | None:
        """Return where the run of that id stands; None if there never was one.

        One whose machines were taken away waits: whoever watches it next submits its job again.
        """
        found = self._jobs.state(run_id)
        waits = found is not None and found.status is RunStatus.FAILED and not found.deleted
        if found is not None and waits and self._following.goes_on(found.run):
            return evolve(found, status=RunStatus.QUEUED)
        return found

    def events(
        self, run: Run, *, poll: float = 0.0, timeout: float | None = None, queue_timeout: float | None = None
    ) -> Iterator[RunEvent]:
        """Yield the run's events; `poll` 0 is what the backend was connected with."""
        yield from self._following.events(run, poll=poll or self._poll, timeout=timeout, queue_timeout=queue_timeout)

    @property
    def _following(self) -> Following:
        return Following(self._jobs, self._launching.restarts, self._watcher, self._ending)

    def _watcher(self, run: Run) -> Watcher:
        return Watcher(self._clients, self._metrics, run, why=self._why_waiting, patience=self._patience)

    def _ending(self, run: Run) -> Ending:
        return closing_look(self._clients, run, wait=self._poll)

    def resume(self, run: Run) -> Run:
        """Submit a failed run of azft's engine or a script again, which goes on from its last checkpoint.

        A pipeline keeps no checkpoint that another job could go on from.
        """
        found = self._jobs.attempts.all_of(run.id)
        if found and is_command_job(found[0]):
            status = stands(found[-1])
            if status in {RunStatus.CANCELED, RunStatus.COMPLETED}:
                raise RunError(f"{run.id} is {status}", run, status, hint="session.submit(plan, again=True)")
            if status is RunStatus.FAILED:
                self._jobs.attempts.restart(run.id, len(found))
            return run
        raise UnsupportedError(
            f"{run.id} cannot be resumed: the pipeline of Azure ML keeps nothing to go on from",
            hint="session.submit(plan) starts it again; one that failed does not count",
        )

    def result(self, run: Run) -> RunResult:
        """Return where the run stands, with the last value of every metric, and why it failed if it did."""
        working, stopped = run.id, False
        look, (latest, unknown) = self._looked(run)
        taken = look.diagnosis is not None and look.diagnosis.code == TAKEN_AWAY
        followed = look.status is RunStatus.FAILED and (look.command or taken)
        found = self._jobs.attempts.all_of(run.id) if followed else []
        if found:
            working, stopped = str(found[-1].name), stands(found[-1]) is RunStatus.CANCELED
            if working != run.id:
                look, (latest, unknown) = self._looked(evolve(run, id=working))
        studio = f"https://ml.azure.com/runs/{working}?{self._clients.studio}"
        message = look.message or (look.diagnosis.message if look.diagnosis else "")
        warnings = (*look.warnings, unknown) if unknown else look.warnings
        status = RunStatus.CANCELED if stopped else look.status
        return RunResult(run, status, latest, warnings, message, studio, look.diagnosis)

    def _looked(self, run: Run) -> tuple[Ending, tuple[dict[str, float], str]]:
        """Return how one job stands and what it measured, both asked at once."""
        with ThreadPoolExecutor(1, thread_name_prefix="azft-metrics") as aside:
            measured = aside.submit(self._metrics.latest_if_known, run)
            return self._ending(run), measured.result()

    def _completed(self, run: Run, wanted: str) -> Any:
        """Return the job that completed a run; `RunError` where none has, for what is wanted of it."""
        job = self._jobs.get(run.id)
        if status_of(job.status) is RunStatus.FAILED and is_command_job(job):
            job = self._jobs.get(self._jobs.attempts.last(run.id))
        status = status_of(job.status)
        if status is not RunStatus.COMPLETED:
            raise RunError(f"{run.id} has no {wanted}", run, status, hint="watch the run until it has completed")
        return job

    def evaluation(self, run: Run) -> EvaluationReport:
        """Compare base and tuned model on this machine, from what the job left in storage."""
        job = self._completed(run, "evaluation")
        if is_command_job(job):
            return report_of(self._clients, str(job.name))
        trained = str((job.tags or {}).get(TRAINER, CHAT_PIPELINE))
        if trained != CHAT_PIPELINE:
            raise UnsupportedError(
                f"{run.id} is no chat model's: what {trained} has measured are the run's own metrics",
                hint="session.watch(run).metrics",
            )
        return compare_models(self._clients, run, dict(job.tags or {}))

    def answers(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
        """Ask base and tuned model on this machine; both are downloaded, of a pipeline's run alone."""
        if is_command_job(self._completed(run, "model")):
            raise UnsupportedError(
                f"the base model of {run.id} is in its registry, and not in the store", hint="where='cluster'"
            )
        return ask_models(self._clients, run, questions)

    def judging(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[str, Sequence[str]]:
        """Return the name of the job that compares a run's models on the cluster, and what it will store beside."""
        return judging_id(run, questions), [questions_upload(questions)]

    def judge(self, run: Run, questions: Sequence[Mapping[str, Any]], tags: Mapping[str, str]) -> Run:
        """Start that job, on a machine of the kind that the run had; one that is there already is returned."""
        job = self._completed(run, "model")
        return Judge(self._clients, self._commands).submit(run, job, questions, tags)

    def judged(self, judge: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[EvaluationReport, tuple[Answer, ...]]:
        """Return what that job has found."""
        report = report_of(self._clients, judge.id)
        return report, answers_of(self._clients, judge.id) if questions else ()

    def cancel(self, run: Run) -> None:
        """Ask the job to stop; a run whose machines were taken away gets no other."""
        self._following.cancel(run)

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions a model of that name already has in the workspace."""
        return self._models.versions(name)

    def register(self, run: Run, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the job's output in the workspace, once."""
        return self._models.register(run, self._completed(run, "model"), name, tags)

    def register_folder(self, folder: Path, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Upload the model in a folder and register it in the workspace, once."""
        with mlflow_model(folder, name) as model:
            return self._models.register_folder(model, name, tags)

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
        """Deploy to a managed online endpoint of a free name, or `onto` one that is there; Azure chooses the port."""
        if port:
            raise UnsupportedError(f"port {port}: the port of an Azure endpoint cannot be chosen", hint="leave it out")
        allowed = self._deployable_on(model)
        return self._endpoints.deploy(model, name, allowed, onto=onto, traffic=traffic, tags=tags)

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer of a deployed model."""
        return self._endpoints.ask(endpoint, messages, **settings)

    def stream(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer of a deployed model as it comes; in one piece where the endpoint cannot do otherwise."""
        yield from self._endpoints.stream(endpoint, messages, **settings)

    def delete(self, resource: Resource) -> None:
        """Delete what bears our marks; stop a run. Models and runs are archived, Azure deletes neither."""
        name, token = resource.name, resource.token
        if resource.kind == "endpoint":
            self._endpoints.delete(name, token)
        elif resource.kind == "deployment":
            endpoint, _, part = name.partition("/")
            self._endpoints.leave(endpoint, part, token)
        elif resource.kind == "compute":
            self._computes.delete(name, token)
        elif resource.kind == "model":
            model, _, version = name.rpartition(":")
            self._models.archive(model, version, token)
        elif resource.kind == "run":
            self._jobs.delete(name, token)
        elif resource.kind == "upload":
            self._jobs.remove_upload(name, token)
        else:
            raise UnsupportedError(f"Azure ML has no {resource.kind} to delete")

    def leftovers(self) -> Sequence[Leftover]:
        """Return every job, endpoint, deployment, cluster, upload and model of the workspace that bears our marks."""
        places = (self._endpoints, self._computes, self._jobs, self._models)
        return [leftover for place in places for leftover in place.leftovers()]

    def _why_waiting(self, tags: Mapping[str, str]) -> str:
        """Return what may keep a job from starting: what the cluster holds and tells, or what the quotas say."""
        name = tags.get(WHERE, "")
        if name and name != SERVERLESS:
            return self._computes.waiting_for(name)
        size = tags.get(SIZE, "")
        return "; ".join(str(finding.found) for finding in self._quota_of_size(size)) if size else ""

    def _quota_of_size(self, size: str) -> Sequence[Finding]:
        return quota_findings(self._machines(size, 1), self._computes.usage())

    def _quota_of_deployment(self, size: str, instances: int) -> tuple[Compute, Sequence[Finding]]:
        compute = self._machines(size, instances)
        return compute, deployment_findings(compute, self._computes.usage(), instances=instances)

    def _machines(self, size: str, nodes: int) -> Compute:
        return machines(size, self._computes.size(size) or withdrawn(size), nodes=nodes)

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
