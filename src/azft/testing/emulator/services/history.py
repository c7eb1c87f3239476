"""Run history: a job and its child runs as runs, with their logs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.clock import iso
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.state import Document
from azft.testing.emulator.story import Step, Story
from azft.testing.emulator.wire import DATA_PLANE, WORKSPACE, Call, Operation, Reply, not_found
from azft.testing.emulator.world import CONTAINER, World

HISTORY = "/history/v1.0" + WORKSPACE
ROOT_LOG = "logs/azureml/executionlogs.txt"
STEP_LOG = "user_logs/std_log.txt"


class RunHistory:
    """Runs as the SDK's `jobs.stream`, `jobs.list(parent_job_name=)` and `jobs.download` read them."""

    def __init__(self, world: World, jobs: Jobs) -> None:
        self._world = world
        self._jobs = jobs

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        run = HISTORY + "/runs/{run}"
        note = "child runs are the steps that have begun"
        assets = "/data/v1.0" + WORKSPACE + "/dataversion/batchGetResolvedUris"
        return [
            Operation("GET", DATA_PLANE, run, self._run, "SDK source", versions=("v1.0",)),
            Operation(
                "GET", DATA_PLANE, run + "/children", self._children, "SDK source", versions=("v1.0",), note=note
            ),
            Operation(
                "GET",
                DATA_PLANE,
                run + "/details",
                self._details,
                "SDK source",
                versions=("v1.0",),
                note="logs grow as the job does",
            ),
            Operation("POST", DATA_PLANE, HISTORY + "/rundata", self._data, "SDK source", versions=("v1.0",)),
            Operation(
                "POST",
                DATA_PLANE,
                assets,
                self._assets,
                "SDK source",
                note="no output is reported as an asset, so none resolves",
            ),
        ]

    def _find(self, run: str) -> tuple[Document, Story, Step | None]:
        child = self._jobs.find_child(run)
        document = self._jobs.get(run) if child is None else child[0]
        story = self._jobs.story(document)
        if child is None:
            return document, story, None
        for step in story.steps:
            if step.name == child[1]:
                return document, story, step
        raise not_found("Run", run)

    def _run(self, call: Call) -> Reply:
        return Reply(self._described(*self._find(call["run"])))

    def _children(self, call: Call) -> Reply:
        document, story, step = self._find(call["run"])
        steps = story.steps if step is None else ()
        runs = [self._described(document, story, each) for each in steps]
        return Reply({"value": runs, "continuationToken": None, "nextLink": None})

    def _data(self, call: Call) -> Reply:
        found = self._find(str((call.body or {}).get("runId", "")))
        return Reply({"runMetadata": self._described(*found), "runDefinition": None, "jobSpecification": None})

    def _assets(self, call: Call) -> Reply:
        return Reply({"values": {}})

    def _details(self, call: Call) -> Reply:
        document, story, step = self._find(call["run"])
        described = self._described(document, story, step)
        path, text = (ROOT_LOG, story.log) if step is None else (STEP_LOG, step.log)
        blob = f"ExperimentRun/dcid.{described['runId']}/{path}"
        known = self._world.blobs.get(CONTAINER, blob)
        if known is None or known.size != len(text.encode()):
            self._world.blobs.write(CONTAINER, blob, text.encode())
        keys = ("runId", "status", "startTimeUtc", "endTimeUtc", "rootRunId", "parentRunId", "error", "properties")
        details = {key: described[key] for key in keys}
        logs = {path: self._world.blob_url(blob)}
        return Reply({**details, "warnings": None, "logFiles": logs, "inputDatasets": [], "outputDatasets": []})

    def _described(self, document: Document, story: Story, step: Step | None) -> dict[str, Any]:
        root = document["name"]
        name = str(document["properties"].get("displayName") or root) if step is None else step.name
        status = story.status if step is None else step.status
        begun, ended = (story.begun, story.ended) if step is None else (step.begun, step.ended)
        failed = status == "Failed"
        kind = "PipelineRun" if step is None else "StepRun"
        source = {"azureml.runsource": f"azureml.{kind}"}
        more = (
            {"runSource": "SDK"} if step is None else {"azureml.pipelinerunid": root, "azureml.moduleName": step.name}
        )
        return {
            "runId": root if step is None else step.id,
            "runNumber": 1,
            "rootRunId": root,
            "parentRunId": None if step is None else root,
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
            "outputs": {},
            "error": {"error": {"code": "UserError", "message": self._jobs.error(document)}} if failed else None,
            "hidden": False,
            "services": {},
            "settings": {},
        }
