"""Run history: a job and its child runs as runs, with their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.api_versions import DATA_PLANE_VERSIONS as VERSIONS
from azft.testing.emulator.clock import iso
from azft.testing.emulator.composed.graph import step_id
from azft.testing.emulator.jobs import IMPORTED, Jobs, is_command, is_composed, outcome_of, output_names
from azft.testing.emulator.scripts import PARENT_ERROR
from azft.testing.emulator.shapes import check_tags
from azft.testing.emulator.state import Document
from azft.testing.emulator.steps import NESTED
from azft.testing.emulator.story import Step, Story, child_id
from azft.testing.emulator.wire import DATA_PLANE, WORKSPACE, Call, Operation, Reply, not_found
from azft.testing.emulator.world import CONTAINER, World

HISTORY = "/history/v1.0" + WORKSPACE
QUEUED = {"code": "Queued", "message": "waiting for compute", "lastRefreshTimestamp": None}
ROOT_LOG = "logs/azureml/executionlogs.txt"
STEP_LOG = "user_logs/std_log.txt"


class RunHistory:
    """Runs as the SDK's `jobs.stream`, `jobs.list(parent_job_name=)` and `jobs.download` read them."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        self._world = world
        self._jobs = jobs
        self._places: dict[str, str] = {}

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        run = HISTORY + "/runs/{run}"
        note = "child runs are the steps that have begun, in a pipeline of their own if a script says so"
        assets = "/data/v1.0" + WORKSPACE + "/dataversion/batchGetResolvedUris"
        return [
            Operation("GET", DATA_PLANE, run, self._run, "SDK source", versions=VERSIONS),
            Operation(
                "GET",
                DATA_PLANE,
                run + "/children",
                self._children,
                "SDK source",
                versions=VERSIONS,
                note=note,
            ),
            Operation(
                "GET",
                DATA_PLANE,
                run + "/details",
                self._details,
                "SDK source",
                versions=VERSIONS,
                note="logs grow as the job does",
            ),
            Operation(
                "PATCH",
                DATA_PLANE,
                HISTORY + "/experiments/{experiment}/runs/{run}",
                self._change,
                "SDK source",
                versions=VERSIONS,
                note="name, description, tags, properties, and `hidden`: a job that is archived; of a step nothing",
            ),
            Operation("POST", DATA_PLANE, HISTORY + "/rundata", self._data, "SDK source", versions=VERSIONS),
            Operation(
                "POST",
                DATA_PLANE,
                assets,
                self._assets,
                "SDK source",
                note="the outputs of completed jobs and of their import step",
            ),
        ]

    def _find(self, run: str) -> tuple[Document, Story, Step | None]:
        child = self._jobs.find_child(run)
        document = self._jobs.get(run) if child is None else child[0]
        story = self._jobs.story(document)
        if child is None:
            return document, story, None
        for step in (*story.steps, *self._nested(document, story)):
            if (step.path or step.name) == child[1]:
                return document, story, step
        raise not_found("Run", run)

    def _nested(self, document: Document, story: Story) -> tuple[Step, ...]:
        """Return the pipeline that holds the steps, if the job's script has one."""
        if "outcome" not in document or not outcome_of(document).nested or story.begun is None:
            return ()
        status = story.status if story.ended else "Running"
        return (Step(NESTED, child_id(document["name"], NESTED), status, story.begun, story.ended, ""),)

    def _run(self, call: Call) -> Reply:
        return Reply(self._described(*self._find(call["run"])))

    def _change(self, call: Call) -> Reply:
        document, story, step = self._find(call["run"])
        if step is None:
            body = call.body or {}
            changed = {**body, "isArchived": body.get("hidden")}
            check_tags({**(document["properties"].get("tags") or {}), **(body.get("tags") or {})}, limited=True)
            document = self._jobs.change(document["name"], changed)
        return Reply(self._described(document, story, step))

    def _children(self, call: Call) -> Reply:
        document, story, step = self._find(call["run"])
        nested = self._nested(document, story)
        if is_composed(document):
            above = "" if step is None else f"{step.path}."
            steps = tuple(
                one for one in story.steps if one.path.startswith(above) and "." not in one.path[len(above) :]
            )
        elif step is None:
            steps = nested or story.steps
        else:
            steps = story.steps if step.name == NESTED else ()
        runs = [self._described(document, story, each) for each in steps[: call.whole("$top", len(steps))]]
        return Reply({"value": runs, "continuationToken": None, "nextLink": None})

    def _data(self, call: Call) -> Reply:
        found = self._find(str((call.body or {}).get("runId", "")))
        return Reply({"runMetadata": self._described(*found), "runDefinition": None, "jobSpecification": None})

    def _assets(self, call: Call) -> Reply:
        wanted = [str(value) for value in (call.body or {}).get("values") or []]
        known = {value: self._places.get(value) for value in wanted}
        return Reply(
            {
                "values": {
                    value: {"uri": uri, "type": "uri_folder" if uri.endswith("/") else "uri_file"}
                    for value, uri in known.items()
                    if uri is not None
                }
            }
        )

    def _details(self, call: Call) -> Reply:
        document, story, step = self._find(call["run"])
        described = self._described(document, story, step)
        if step is not None:
            files = self._logs(document, step)
        else:
            files = self._jobs.commands.logs(document) if is_command(document) else {ROOT_LOG: story.log}
        logs = {}
        for path, text in files.items():
            blob = f"ExperimentRun/dcid.{described['runId']}/{path}"
            known = self._world.blobs.get(CONTAINER, blob)
            if known is None or known.size != len(text.encode()):
                self._world.blobs.write(CONTAINER, blob, text.encode())
            logs[path] = self._world.blob_url(blob)
        keys = ("runId", "status", "startTimeUtc", "endTimeUtc", "rootRunId", "parentRunId", "error", "properties")
        details = {key: described[key] for key in keys}
        return Reply({**details, "warnings": None, "logFiles": logs, "inputDatasets": [], "outputDatasets": []})

    def _logs(self, document: Document, step: Step) -> dict[str, str]:
        """Return a step's files of log; of the step that failed what its script says it wrote, too."""
        if is_composed(document) and "outcome" not in document:
            return {} if step.pipeline else self._jobs.commands.logs({"name": step.id})
        if "outcome" not in document:
            return {STEP_LOG: step.log}
        outcome = outcome_of(document)
        failing = self._jobs.steps(document).step(outcome.step)
        if step.name not in {failing, outcome.failed_step} or step.ended is None:
            return {STEP_LOG: step.log}
        return {STEP_LOG: step.log + outcome.log, **outcome.logs}

    def _described(self, document: Document, story: Story, step: Step | None) -> dict[str, Any]:
        root = document["name"]
        name = str(document["properties"].get("displayName") or root) if step is None else step.name
        status = self._jobs.shown_state(document, story.status) if step is None else step.status
        begun, ended = (story.begun, story.ended) if step is None else (step.begun, step.ended)
        sweep = document["properties"].get("jobType") == "Sweep"
        pipeline = not (is_command(document) or sweep) and (step is None or step.name == NESTED or step.pipeline)
        kind = "commandjob" if is_command(document) else "PipelineRun" if pipeline else "StepRun"
        kind = "sweep" if sweep and step is None else "commandjob" if sweep else kind
        source = {"azureml.runsource": f"azureml.{kind}"}
        given = document["properties"].get("properties") or {}
        more = (
            {"runSource": "SDK", **given}
            if step is None
            else {"azureml.pipelinerunid": root, "azureml.moduleName": step.module or step.name}
        )
        above = step.path.rpartition(".")[0] if step is not None else ""
        parent = None if step is None else step_id(root, above) if above else root
        if step is not None and step.name != NESTED and self._nested(document, story):
            parent = child_id(root, NESTED)
        return {
            "runId": root if step is None else step.id,
            "runNumber": 1,
            "rootRunId": root,
            "parentRunId": parent,
            "experimentId": str(document["properties"].get("experimentName") or "Default"),
            "status": status,
            "displayName": name,
            "name": name,
            "runType": f"azureml.{kind}",
            "runTypeV2": {"orchestrator": None, "traits": [], "attribution": None, "computeType": "AmlCompute"},
            "createdUtc": iso(document["submitted"]),
            "startTimeUtc": iso(begun) if begun else None,
            "endTimeUtc": iso(ended) if ended else None,
            "properties": {**source, **more},
            "tags": document["properties"].get("tags") or {},
            "parameters": {},
            "dataContainerId": f"dcid.{root if step is None else step.id}",
            "inputs": {},
            "outputs": self._outputs(document, story, step),
            "error": self._error(document, story, status, step.path if step else "", pipeline=pipeline),
            "queueingInfo": QUEUED if step is None and story.begun is None else None,
            "hidden": bool(document["properties"].get("isArchived")),
            "services": {},
            "settings": {},
        }

    def _error(
        self, document: Document, story: Story, status: str, path: str, *, pipeline: bool
    ) -> dict[str, Any] | None:
        """Return what a failed run says: a step the reason, a pipeline only that a step has one."""
        if status != "Failed":
            return None
        code, message = self._jobs.error(document, path)
        if pipeline:
            failed = ", ".join(
                f"/{(step.path or step.name).replace('.', '/')}"
                for step in story.steps
                if step.status == "Failed" and not step.pipeline
            )
            code, message = "UserError", PARENT_ERROR.format(steps=failed)
        inner = {"innerError": {"code": code, "innerError": None}} if code != "UserError" else {}
        return {"error": {"code": "UserError", "message": message, **inner}, "time": iso(document["submitted"])}

    def _outputs(self, document: Document, story: Story, step: Step | None) -> dict[str, Any]:
        """Return what a completed run has put out, as ids that resolve to places in storage."""
        composed = is_composed(document) and "outcome" not in document and step is not None
        if composed and step is not None:
            places = self._jobs.composed.outputs(document["name"], step.path) if step.status == "Completed" else {}
            return {output: self._output(step.id, output, path, "uri_folder") for output, path in places.items()}
        if story.status != "Completed" or (step is not None and step.name != IMPORTED):
            return {}
        name = document["name"] if step is None else step.id
        found = {}
        for output in output_names(document["properties"]) if step is None else ("output_dir",):
            path = self._jobs.output_path(name, output) if step is None else f"azureml/{name}/{output}"
            asked = (document["properties"].get("outputs") or {}).get(output) or {}
            kind = "uri_file" if asked.get("jobOutputType") == "uri_file" else "uri_folder"
            found[output] = self._output(name, output, path, kind)
        return found

    def _output(self, run: str, output: str, path: str, kind: str) -> dict[str, str]:
        place = f"azureml://locations/{self._world.region}/workspaces/{self._world.tenant}"
        identity = f"{place}/data/{run}_{output}/versions/1"
        self._places[identity] = self._world.store_uri(path + ("" if kind == "uri_file" else "/"))
        return {"assetId": identity, "type": kind}
