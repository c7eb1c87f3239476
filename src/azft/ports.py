"""What a place to run must be able to do: small protocols, structural, so a backend inherits from nothing."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from azft.domain.component import Component
from azft.domain.compute import Compute, ComputeSize, Usage
from azft.domain.evaluation import Answer, EvaluationReport
from azft.domain.findings import Finding
from azft.domain.job import Job
from azft.domain.model import Model
from azft.domain.plan import Plan
from azft.domain.resource import Endpoint, Leftover, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunResult, RunState
from azft.domain.specs import ModelSpec
from azft.domain.trainers import Trainer

TRAINER = Trainer()
"""The backend's own."""


class ModelSource(Protocol):
    """Finds base models."""

    def find_model(self, spec: ModelSpec) -> Model:
        """Return the model with its own defaults; `NotFoundError` if there is none."""
        ...


class ComputeSource(Protocol):
    """Knows what machines there are."""

    def find_compute(self, name: str) -> Compute | None:
        """Return the compute of that name (the default one for an empty name), or None if there is none."""
        ...

    def list_sizes(self) -> Sequence[ComputeSize]:
        """Return the machine sizes on offer."""
        ...

    def usage(self) -> Sequence[Usage]:
        """Return the core quotas and how much of each is used."""
        ...

    def create_compute(
        self,
        name: str,
        size: str,
        *,
        max_nodes: int = 1,
        tier: str = "Dedicated",
        tags: Mapping[str, str] | None = None,
    ) -> Compute:
        """Create a cluster that carries the tags; `UnsupportedError` where machines cannot be made.

        One of that name is returned as it is where it fits, and is a `NameTakenError` where it does not.
        """
        ...


class RunService(Protocol):
    """Runs jobs."""

    def component(self, trainer: Trainer = TRAINER) -> Component:
        """Return the fine-tuning component with the inputs it really has, or those that the trainer takes."""
        ...

    def check(self, plan: Plan) -> Sequence[Finding]:
        """Return what this place has to say about a plan, such as inputs it ignores and why."""
        ...

    def uploads(self, job: Job) -> Sequence[str]:
        """Return the names of what `submit` will store beside the run, and that is to be deleted apart from it."""
        ...

    def submit(self, job: Job) -> Run:
        """Start the job under its id, with its tags, and return at once; the same id again makes no second run."""
        ...

    def state(self, run_id: str) -> RunState | None:
        """Return where the run of that id stands; None if there never was one, or nothing is left of it."""
        ...

    def find_run(self, run_id: str) -> Run:
        """Return the run of that id, whoever started it; `NotFoundError` if there is none."""
        ...

    def events(
        self, run: Run, *, poll: float = 0.2, timeout: float | None = None, queue_timeout: float | None = None
    ) -> Iterator[RunEvent]:
        """Yield every event from the first on, until the run has ended or `timeout` seconds are over.

        `queue_timeout` ends it too, if the run has not begun by then.
        """
        ...

    def resume(self, run: Run) -> Run:
        """Go on with a failed run from what it has kept; `UnsupportedError` where nothing is kept."""
        ...

    def result(self, run: Run) -> RunResult:
        """Return where the run stands, with its metrics so far."""
        ...

    def evaluation(self, run: Run) -> EvaluationReport:
        """Return the comparison of base and tuned model of a completed run."""
        ...

    def answers(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
        """Return both models' answers to questions: conversations that end with the answer that is expected."""
        ...

    def cancel(self, run: Run) -> None:
        """Ask the run to stop; a run that has ended stays as it is."""
        ...


class ModelStore(Protocol):
    """Keeps tuned models."""

    def versions(self, name: str) -> Sequence[str]:
        """Return the versions a tuned model of that name already has."""
        ...

    def register(self, run: Run, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the run's model, once: the same run under the same name gives the version it already has."""
        ...

    def register_folder(self, folder: Path, name: str, tags: Mapping[str, str]) -> RegisteredModel:
        """Register the model in a folder, once: the same `azft.folder` in the tags gives the version that is there."""
        ...


class EndpointService(Protocol):
    """Puts models behind an address."""

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
        """Start answering for the model and return once it does; `port` 0 picks a free one.

        A name that exists is a `NameTakenError`. With `onto`, an endpoint that is there gets one more deployment,
        called `name`, which takes `traffic` percent of what is asked. What fails is taken away, and nothing else.
        """
        ...

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a conversation; settings are those of `/v1/chat/completions`."""
        ...

    def stream(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer to a conversation as it comes, or in one piece."""
        ...


class Disposer(Protocol):
    """Finds and deletes what was made."""

    def delete(self, resource: Resource) -> None:
        """Delete it; one that is already gone is fine.

        One that has the name and not the resource's token is a `NotOursError`, and one that a run still needs an
        `InUseError`; both are left as they are. A model without a version means the one with that token.
        """
        ...

    def leftovers(self) -> Sequence[Leftover]:
        """Return everything that is there and carries azft's marks, whoever made it and from whichever folder."""
        ...


class Backend(ModelSource, ComputeSource, RunService, ModelStore, EndpointService, Disposer, Protocol):
    """All of it: what a `BackendSpec` connects to."""

    @property
    def name(self) -> str:
        """The name the backend is chosen by."""
        ...

    @property
    def run_prefix(self) -> str:
        """What the ids of its runs begin with."""
        ...

    @property
    def takes(self) -> Collection[str]:
        """What its training takes beside plain turns: names of `azft.domain.capabilities`."""
        ...
