"""The jobs of the workspace: begun, followed, canceled, and their outputs published."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import asdict, evolve

from azft.domain.run import RunEvent, RunStatus
from azft.engine.weights import LINKED
from azft.errors import AzftError, ConfigurationError
from azft.rules.suggest import did_you_mean
from azft.snapshot import RegistryPipeline, RegistryVersion, registry_pipelines
from azft.testing.emulator.commands.jobs import CommandJobs
from azft.testing.emulator.composed.runs import Composed, Histories
from azft.testing.emulator.named_outputs import NamedOutput, OutputAssets
from azft.testing.emulator.router import merged
from azft.testing.emulator.scripts import Outcome, scripted_events
from azft.testing.emulator.state import Document
from azft.testing.emulator.steps import CHAT, CHAT_STEPS, NESTED, Steps, pipeline_name, registry_node, steps_of
from azft.testing.emulator.story import Story, child_id, tell
from azft.testing.emulator.training import JobRefusedError, local_job
from azft.testing.emulator.wire import WireError, bad_request, not_found
from azft.testing.emulator.world import CONTAINER, World, path_of

KIND = "jobs"
CHILDREN = "children"
IMPORTED = "chat_completion_model_import"
CHANGEABLE = ("displayName", "description", "tags", "properties", "isArchived")
"""What may be said anew of a job that is there."""


class Jobs:
    """Every job's document, and what it has said so far; scripts are used up one a job."""

    def __init__(
        self,
        world: World,
        find_model: Callable[[str, str, str], RegistryVersion | None],
        given: Callable[[], Mapping[str, str]] = dict,
        *,
        others: Mapping[str, RegistryPipeline] | None = None,
        find_component: Callable[[str], Mapping[str, Any]] = lambda _identity: {},
        histories: Histories = lambda _runs, _metric: {},
        check_command: Callable[[Mapping[str, Any]], None] = lambda _properties: None,
    ) -> None:
        self._world = world
        self._others = others or {}
        self._find_model = find_model
        self.commands = CommandJobs(world, find_model, self.output_path, given)
        self.composed = Composed(world, self.commands, find_component, check_command, histories)
        self._scripts: deque[Outcome] = deque()
        self.default: Outcome | None = None
        self._publishing = threading.Lock()
        self.outputs = OutputAssets(world, self._find, lambda document: self.story(document).status, self._named_path)
        self._amending = threading.Lock()
        self._changed: set[str] = set()

    def script(self, outcome: Outcome, *, always: bool = False) -> None:
        """Give the next job (or every job that has no script of its own) this outcome instead of training.

        Errors: `ConfigurationError` for a step that no pipeline has.
        """
        known = {**registry_pipelines(), **self._others}
        steps = {name for pipeline in known.values() for name in pipeline.steps}
        for step in filter(None, (outcome.step, outcome.failed_step)):
            if step not in steps:
                hint = did_you_mean(step, steps) or f"those for chat are {', '.join(CHAT_STEPS.names)}"
                raise ConfigurationError(f"step {step!r} is none of a pipeline's", hint=hint)
        if always:
            self.default = outcome
        else:
            self._scripts.append(outcome)

    def forget_scripts(self) -> None:
        """Take back the outcomes that no job has used."""
        self._scripts.clear()
        self.default = None

    def create(self, name: str, properties: dict[str, Any]) -> Document:
        """Keep the job and start it."""
        now = self._world.clock.now()
        outcome = self._scripts.popleft() if self._scripts else self.default
        document: Document = {"name": name, "properties": properties, "submitted": now}
        command = is_command(document)
        composed = is_composed(document)
        if outcome is None and not (command or composed) and pipeline_name(properties) != CHAT:
            outcome = Outcome()  # What these pipelines do is done nowhere else; they end as their script says.
        if outcome is not None:
            document["outcome"] = asdict(outcome)
        elif command:
            self.commands.begin(name, properties)
        elif composed:
            self.composed.begin(name, properties)
        else:
            document |= self._begun(name, properties)
        made = self._world.state.put(KIND, name, document)
        self.outputs.expect(name, properties)
        if composed and outcome is None:
            children = list(self.composed.children(name))
        else:
            steps = () if command else (*self.steps(document).names, NESTED)
            children = [(child_id(name, step), step) for step in steps]
        for identity, step in children:
            self._world.state.put(CHILDREN, identity, {"job": name, "step": step})
        return made

    def get(self, name: str) -> Document:
        """Return the job; the service's 404 if there is none."""
        found = self._find(name)
        if found is None:
            raise not_found("Job", name)
        return found

    def _find(self, name: str) -> Document | None:
        return self._world.state.get(KIND, name)

    def exists(self, name: str) -> bool:
        """Whether there is a job of that name."""
        return self._find(name) is not None

    def find_child(self, run_id: str) -> tuple[Document, str] | None:
        """Return the job and the step that a child run's id means, or None."""
        found = self._world.state.get(CHILDREN, run_id)
        return None if found is None else (self.get(found["job"]), found["step"])

    def all(self) -> list[Document]:
        """Return all jobs, newest first."""
        return sorted(self._world.state.all(KIND), key=lambda job: float(job["submitted"]), reverse=True)

    def story(self, document: Document) -> Story:
        """Return what the job has told so far; once it has completed, its outputs are there."""
        if is_command(document) and "outcome" not in document:
            return self.commands.story(document)
        if is_composed(document) and "outcome" not in document:
            return self.composed.story(document)
        canceling = document.get("canceled") is not None
        failed = outcome_of(document).failed_step if "outcome" in document else ""
        steps = self.steps(document)
        story = tell(document["name"], self.events(document), canceling=canceling, failed_step=failed, steps=steps)
        if is_command(document):
            return evolve(story, steps=())
        if story.status == "Completed" and not document.get("published"):
            self._publish(document)
        return story

    def _named_path(self, document: Document, output: NamedOutput) -> str:
        if not output.node:
            return self.output_path(document["name"], output.output)
        if is_composed(document) and "outcome" not in document:
            return str(self.composed.outputs(document["name"], output.node)[output.output])
        return f"azureml/{child_id(document['name'], output.node)}/{output.output}"

    def events(self, document: Document) -> list[RunEvent]:
        """Return the events so far, from the script, from the run that trains, or from the refusal."""
        begun = document["submitted"]
        if "outcome" in document:
            now, steps = self._world.clock.now(), self.steps(document)
            return scripted_events(outcome_of(document), begun, document.get("canceled"), now, steps)
        if "refused" in document:
            return [
                RunEvent(begun, "status", "", RunStatus.RUNNING),
                RunEvent(begun, "stage", "import", "started"),
                RunEvent(begun, "status", "", RunStatus.FAILED),
            ]
        run = self._world.local.find_run(document["local_run"])
        return list(self._world.local.events(run, timeout=0))

    def steps(self, document: Document) -> Steps:
        """Return the steps of the pipeline that the job runs, as far as a script tells them."""
        if is_composed(document):
            nodes = document["properties"].get("jobs") or {"trial-0": {}}
            return Steps({name: (name,) for name in nodes})
        return steps_of(pipeline_name(document["properties"]), self._others)

    def error(self, document: Document, path: str = "") -> tuple[str, str]:
        """Return the code and the text that the failed step gives; the job itself only points at it."""
        if is_composed(document) and "outcome" not in document:
            return "UserError", self.composed.error(document["name"], path)
        if "outcome" in document:
            outcome = outcome_of(document)
            return (outcome.code, outcome.error) if outcome.status == "failed" or outcome.failed_step else ("", "")
        if is_command(document):
            return "UserError", self.commands.progress(document).error
        if "refused" in document:
            return "UserError", str(document["refused"])
        return "UserError", self._world.local.result(self._world.local.find_run(document["local_run"])).error

    def shown_state(self, document: Document, told: str) -> str:
        """Return the service's word for the job now: what its script says of this moment, or what follows from it."""
        if "outcome" not in document or document.get("canceled") is not None:
            return told
        passed = self._world.clock.now() - float(document["submitted"])
        words = [word for seconds, word in outcome_of(document).states if seconds <= passed]
        return words[-1] if words and words[-1] else told

    def change(self, name: str, changed: Mapping[str, Any], *, without: Sequence[str] = ()) -> Document:
        """Lay what may be said anew over a job, and take tags away; whatever else is given is left out."""
        told = {key: changed[key] for key in CHANGEABLE if changed.get(key) is not None}

        def laid(document: Document) -> Document:
            properties = merged(document["properties"], told)
            tags = {key: value for key, value in (properties.get("tags") or {}).items() if key not in without}
            return {"properties": {**properties, "tags": tags}}

        document = self._amend(name, laid)
        with self._amending:
            self._changed.add(name)
        return document

    def take_changed(self) -> set[str]:
        """Return the names of the jobs that were changed since this was asked last."""
        with self._amending:
            changed, self._changed = self._changed, set()
        return changed

    def put_back(self, names: Collection[str]) -> None:
        """Take back that it was asked for these changes: they were not heard."""
        with self._amending:
            self._changed.update(names)

    def _amend(self, name: str, amended: Callable[[Document], Document]) -> Document:
        """Keep a job with some members changed, whoever else changes others at the same time."""
        with self._amending:
            document = self.get(name)
            return self._world.state.put(KIND, name, {**document, **amended(document)})

    def cancel(self, name: str) -> None:
        """Ask the job to stop; one that has ended stays as it is."""
        document = self.get(name)
        if self.story(document).ended is not None:
            return
        self._amend(name, lambda _document: {"canceled": self._world.clock.now()})
        if "local_run" in document:
            self._world.local.cancel(self._world.local.find_run(document["local_run"]))
        elif is_command(document) and "outcome" not in document:
            self.commands.cancel(name)
        elif is_composed(document) and "outcome" not in document:
            self.composed.cancel(name)

    def delete(self, name: str) -> None:
        """Forget a job that has ended."""
        self.outputs.settle()
        document = self.get(name)
        if self.story(document).ended is None:
            raise WireError(409, "Conflict", f"job {name} is still running; cancel it first")
        self._world.state.delete(KIND, name)
        self.commands.forget(name)
        self.composed.forget(name)

    def output_path(self, name: str, output: str) -> str:
        """Return where an output of a job lies in storage."""
        properties = self.get(name)["properties"]
        if output not in output_names(properties):
            raise bad_request(f"job {name} has no output {output!r}")
        uri = str((properties["outputs"][output] or {}).get("uri") or "")
        return path_of(uri).rstrip("/") or f"azureml/{name}/{output}"

    def model_folder(self, document: Document) -> Path | None:
        """Return the folder with the model that a completed job really made, or None for a scripted one."""
        if "local_run" not in document:
            return None
        return self._world.local.home.run(document["local_run"]) / "export" / "model"

    def _begun(self, name: str, properties: dict[str, Any]) -> Document:
        try:
            job = local_job(self._world, name, properties, self._find_model)
        except JobRefusedError as error:
            return {"refused": f"ft_nlp_common_validation: {error}"}
        except AzftError as error:
            return {"refused": f"chat_completion_datapreprocess: {error}"}
        return {"local_run": self._world.local.submit(job).id}

    def _publish(self, document: Document) -> None:
        """Put the outputs where Azure has them: `azureml/JOB/OUTPUT/`, and each step's below its own run id."""
        with self._publishing:
            name, blobs = document["name"], self._world.blobs
            if self.get(name).get("published"):
                return
            folder = self.model_folder(document)
            for output in output_names(document["properties"]):
                if folder is None:
                    blobs.write(CONTAINER, f"azureml/{name}/{output}/MLmodel", b"flavors: {}\nscripted: true\n")
                else:
                    blobs.publish(CONTAINER, f"azureml/{name}/{output}", folder)
            if folder is not None:
                run = self._world.local.home.run(document["local_run"])
                imported = f"azureml/{child_id(name, IMPORTED)}/output_dir"
                blobs.publish(CONTAINER, imported, run / "import")
                blobs.delete(CONTAINER, f"{imported}/{LINKED}")  # A note of this machine's about its own files.
            self._amend(name, lambda _document: {"published": True})


def is_command(document: Document) -> bool:
    """Return whether a job is a command, and no pipeline."""
    return bool(document["properties"].get("jobType") == "Command")


def is_composed(document: Document) -> bool:
    """Return whether a job is a sweep, or a pipeline of components and not one of a registry's."""
    properties = document["properties"]
    kind = properties.get("jobType")
    return bool(kind == "Sweep" or (kind == "Pipeline" and registry_node(properties) is None))


def outcome_of(document: Document) -> Outcome:
    """Return the script of a job that has one."""
    kept = document["outcome"]
    return Outcome(**{**kept, "states": tuple((float(at), str(word)) for at, word in kept.get("states", ()))})


def output_names(properties: dict[str, Any]) -> list[str]:
    """Return the names of a job's outputs, the service's own `default` apart."""
    return [name for name in (properties.get("outputs") or {}) if name != "default"]
