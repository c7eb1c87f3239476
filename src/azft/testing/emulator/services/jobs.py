"""Jobs on the wire: the resources below `jobs/`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azft.snapshot import RegistryPipeline
from azft.testing.emulator.jobs import KIND, Jobs, output_names
from azft.testing.emulator.named_outputs import named_outputs
from azft.testing.emulator.services.versions import check_name, is_same
from azft.testing.emulator.shapes import JOB_TYPES, body_of, check_input, check_tags, word
from azft.testing.emulator.state import Document
from azft.testing.emulator.steps import CHAT, registry_node
from azft.testing.emulator.training import bound_inputs
from azft.testing.emulator.wire import (
    WORKSPACE,
    Call,
    Operation,
    Reply,
    WireError,
    arm,
    bad_request,
    page,
    tagged,
    viewed,
)
from azft.testing.emulator.world import World

ILLEGAL = "'\\"
_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
"""Of a job on creation (the packages generated from the specification)."""
SERVERLESS = "serverless"
SETTLED = ("jobType", "command", "codeId", "environmentId", "computeId", "experimentName", "distribution")
"""What a job is, once it was submitted."""
TAKEN = (
    "A job with this name already exists. If you are trying to create a new job, use a different name. If you are "
    "trying to update an existing job, the existing job's {changed} cannot be changed. Only description, tags, "
    "displayName, properties, and isArchived can be updated."
)
"""What the service says of another job under the same name (azure-docs 122250)."""
LOCKS = 64
"""So many jobs are made side by side."""


class JobService:
    """The job resources of the workspace."""

    def __init__(
        self,
        world: World,
        jobs: Jobs,
        has_compute: Callable[[str], bool],
        check_environment: Callable[[str], None],
        pipeline_of: Callable[[str, str], RegistryPipeline | None],
    ) -> None:
        self._pipeline_of = pipeline_of
        self._creating = [threading.Lock() for _number in range(LOCKS)]
        self._world = world
        self._jobs = jobs
        self._has_compute = has_compute
        self._check_environment = check_environment

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        one = WORKSPACE + "/jobs/{name}"
        return [
            arm("GET", WORKSPACE + "/jobs", self._list, "REST specification"),
            arm("GET", one, self._get),
            arm(
                "PUT",
                one,
                self._put,
                note="commands, sweeps, and pipelines of components run; an unknown input or compute is refused "
                "(inferred); of the registry's pipelines the one for chat models trains, the others end as scripted",
            ),
            arm("POST", one + "/cancel", self._cancel),
            arm("DELETE", one, self._delete, "REST specification"),
        ]

    def _list(self, call: Call) -> Reply:
        asked, found = call.query, viewed(self._jobs.all(), call)
        found = tagged(found, asked.get("tag", ""))
        found = tagged(found, asked.get("properties", ""), "properties")
        for query, told in (("jobType", _job_type), ("scheduleId", _schedule)):
            if wanted := asked.get(query, "").lower():
                found = [one for one in found if told(one).lower() == wanted]
        if wanted := asked.get("scheduled", "").lower():
            found = [one for one in found if bool(_schedule(one)) is (wanted == "true")]
        return page(found, call, most=50, shown=self._described)

    def _get(self, call: Call) -> Reply:
        child = self._jobs.find_child(call["name"])
        if child is not None:  # The SDK asks run history about a job without properties; that is how it meets steps.
            return Reply({"id": f"{self._world.id}/jobs/{call['name']}", "name": call["name"], "properties": None})
        return Reply(self._described(self._jobs.get(call["name"])))

    def _put(self, call: Call) -> Reply:
        properties = body_of(call.body)["properties"]
        if not _ID.fullmatch(call["name"]):
            raise bad_request(f"job id {call['name']!r}: 1 to 255 letters, digits, '-' and '_'", "ValidationError")
        check_tags(properties.get("tags") or {}, limited=True)
        # A client that repeats its PUT, as it has heard nothing, makes one job.
        with self._creating[hash(call["name"]) % len(self._creating)]:
            return self._kept(call, properties)

    def _kept(self, call: Call, properties: dict[str, Any]) -> Reply:
        known = self._world.state.get(KIND, call["name"])
        if known is not None:
            _check_unchanged({"experimentName": "Default", **known["properties"]}, properties)
            return Reply(self._described(self._jobs.change(call["name"], properties)), 200)
        self.check(properties)
        return Reply(self._described(self._jobs.create(call["name"], properties)), 201)

    def check(self, properties: dict[str, Any]) -> None:
        """Refuse a job that cannot be."""
        self._jobs.outputs.settle()  # It may read what another one has put out.
        _check_names(properties)
        kind = word(properties, "jobType", JOB_TYPES, needed=True)
        if kind == "Command":
            self.check_command(properties)
            return
        if kind == "Sweep":
            self._jobs.composed.check("checked", properties)
            return
        if kind != "Pipeline":
            raise WireError(501, "EmulatorUnhandled", f"not emulated: jobs of the type {kind!r}")
        found = registry_node(properties)
        if found is None:
            self._jobs.composed.check("checked", properties)
            return
        registry, name, version, _node = found
        pipeline = self._pipeline_of(name, version)
        if pipeline is None:
            raise bad_request(f"component {name}:{version} does not exist in the registry {registry!r}")
        component = pipeline.component
        inputs = bound_inputs(properties)
        for entry in component.inputs:
            if name != CHAT and entry.name not in inputs and not entry.optional and entry.default is None:
                raise bad_request(f"input {entry.name!r} of {name} is required", "ValidationError")
        for key, given in inputs.items():
            known = component.input(key)
            if known is None:
                raise bad_request(f"input {key!r} is not an input of {name} {version}")
            value = str(given.get("value", ""))
            if set(value) & set(ILLEGAL):
                raise bad_request(f"input {key!r}: the characters ' and \\ are not allowed")
            if key.startswith("compute") and value and value != SERVERLESS and not self._has_compute(value):
                raise bad_request(f"input {key!r}: unknown compute target {value!r}")
            if name != CHAT:
                check_input(known, given)

    def check_command(self, properties: Mapping[str, Any]) -> None:
        """Refuse a command that cannot run: what it names does not exist, or its words are no words."""
        self._jobs.commands.order("checked", properties)
        self._check_environment(str(properties.get("environmentId") or ""))
        compute = str(properties.get("computeId") or "").rpartition("/")[2]
        if compute and compute != SERVERLESS and not self._has_compute(compute):
            raise bad_request(f"unknown compute target {compute!r}")

    def _cancel(self, call: Call) -> Reply:
        self._jobs.cancel(call["name"])
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _delete(self, call: Call) -> Reply:
        self._jobs.delete(call["name"])
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _described(self, document: Document) -> dict[str, Any]:
        world, name, given = self._world, document["name"], document["properties"]
        story = self._jobs.story(document)
        outputs = dict(given.get("outputs") or {})
        for output in output_names(given):
            file = (outputs[output] or {}).get("jobOutputType") == "uri_file"
            uri = world.store_uri(self._jobs.output_path(name, output) + ("" if file else "/"))
            outputs[output] = {**(outputs[output] or {}), "uri": uri}
        studio = f"https://ml.azure.com/runs/{name}?wsid={world.id}"
        services = {
            "Tracking": {"jobServiceType": "Tracking", "endpoint": f"azureml://{world.host}/mlflow/v1.0{world.id}"},
            "Studio": {"jobServiceType": "Studio", "endpoint": studio},
        }
        status = self._jobs.shown_state(document, story.status)
        services = {**(given.get("services") or {}), **services}
        properties = {**given, "outputs": outputs, "status": status, "services": services}
        properties.setdefault("experimentName", "Default")
        properties["properties"] = dict(properties.get("properties") or {})
        if properties.get("jobType") == "Sweep" and "outcome" not in document:
            best = self._jobs.composed.best_trial(name)
            properties["properties"] |= {"best_child_run_id": best} if best else {}
        return world.resource("jobs", name, properties, systemData=world.system_data(document["submitted"]))


def _check_names(properties: Mapping[str, Any]) -> None:
    for output in named_outputs(properties):
        check_name("output", output.name, output.version or "1")


def _job_type(document: Document) -> str:
    return str(document["properties"].get("jobType") or "")


def _schedule(document: Document) -> str:
    return str((document["properties"].get("properties") or {}).get("azureml.scheduleId") or "")


def _check_unchanged(known: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Refuse another job under the name of one that is there; what is left out stays as it is.

    Of what the service adds to a job, as to its outputs and its nodes, a client may send back as much as it likes.
    """
    changed = [name for name in SETTLED if given.get(name) not in (None, "") and not is_same(known, given, (name,))]
    inputs, before = (
        {key: _worth(entry) for key, entry in (one.get("inputs") or {}).items()} for one in (given, known)
    )
    changed += ["inputs"] if inputs and inputs != before else []
    nodes = set(given.get("jobs") or ())
    changed += ["jobs"] if nodes and nodes != set(known.get("jobs") or ()) else []
    if changed:
        raise bad_request(TAKEN.format(changed=", ".join(changed)))


def _worth(entry: Any) -> str:
    """Return what an input holds, however much is said of it."""
    told = entry if isinstance(entry, Mapping) else {}
    return str(told.get("uri") or told.get("value") or "").rstrip("/")
