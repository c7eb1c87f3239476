"""Batch endpoints: models that score files, and pipelines, as jobs that really run."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azft.testing.emulator.batch_driver import ROWS, SUMMARY
from azft.testing.emulator.composed.graph import component_version
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.router import merged
from azft.testing.emulator.services.deployments import NAME
from azft.testing.emulator.shapes import body_of, check_tags, whole, word
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
    DATA_PLANE,
    WORKSPACE,
    Call,
    Operation,
    Reply,
    WireError,
    arm,
    bad_request,
    not_found,
    page,
)
from azft.testing.emulator.world import World

ENDPOINTS, DEPLOYMENTS, JOBS = "batchEndpoints", "batchDeployments", "batchJobs"
SCORE = "score"
"""The output of a batch job, and the name of its step."""
STEP = "batchscoring"
_MODES = ("AADToken", "aadToken")
_KINDS = {
    "UriFile": "uri_file", "UriFolder": "uri_folder", "MLTable": "mltable", "CustomModel": "custom_model",
    "MLFlowModel": "mlflow_model", "TritonModel": "triton_model", "Literal": "literal",
}  # fmt: skip
"""Types of inputs as this endpoint spells them, and as jobs do (azure-ai-ml, _schema/_deployment/batch)."""
_DRIVER = "python -m azft.testing.emulator.batch_driver"
_CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"


class BatchEndpoints:
    """Batch endpoints with their deployments, and the jobs that they begin."""

    def __init__(
        self,
        world: World,
        jobs: Jobs,
        keep_component: Callable[[dict[str, Any]], str],
        find_component: Callable[[str], dict[str, Any]],
        bears: Callable[[Call], bool],
    ) -> None:
        self._world = world
        self._jobs = jobs
        self._keep_component = keep_component
        self._find_component = find_component
        self._bears = bears

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = WORKSPACE + "/batchEndpoints"
        one, part = base + "/{name}", base + "/{name}/deployments/{deployment}"
        scoring = f"{{name}}.{self._world.region}.inference.ml.azure.com"
        plane = "/mferp/managementfrontend" + one
        note = "a model's script or MLflow model, or a pipeline; its job runs on this machine"
        return [
            arm("GET", base, self._list),
            arm("GET", one, self._get),
            arm("PUT", one, self._put),
            arm("DELETE", one, self._delete, note="its deployments go with it"),
            arm("GET", one + "/deployments", self._parts),
            arm("GET", part, self._part),
            arm("PUT", part, self._deploy, note=note),
            arm("DELETE", part, self._undeploy),
            Operation("POST", scoring, "/jobs", self._invoke, "SDK source", open=True, note=note),
            Operation("GET", DATA_PLANE, plane + "/jobs", self._list_jobs, "SDK source"),
            Operation("GET", DATA_PLANE, plane + "/deployments/{deployment}/jobs", self._list_jobs, "SDK source"),
        ]

    def _find(self, name: str) -> Document:
        found = self._world.state.get(ENDPOINTS, name.lower())
        if found is None:
            raise not_found("Batch endpoint", name)
        return found

    def _find_part(self, name: str, part: str) -> Document:
        found = self._world.state.get(DEPLOYMENTS, f"{name}/{part}".lower())
        if found is None:
            raise not_found("Batch deployment", part)
        return found

    def _list(self, call: Call) -> Reply:
        return page(list(self._world.state.all(ENDPOINTS)), call)

    def _get(self, call: Call) -> Reply:
        return Reply(self._find(call["name"]))

    def _put(self, call: Call) -> Reply:
        name, body = call["name"], body_of(call.body)
        word(body["properties"], "authMode", _MODES, needed=True)
        check_tags(body.get("tags") or {})
        if not NAME.fullmatch(name):
            raise bad_request(f"endpoint name {name!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        default = str((body["properties"].get("defaults") or {}).get("deploymentName") or "")
        if default:
            self._find_part(name, default)
        known = self._world.state.get(ENDPOINTS, name.lower())
        host = f"https://{name.lower()}.{self._world.region}.inference.ml.azure.com"
        properties = {
            **body["properties"],
            "defaults": {"deploymentName": default or None},
            "scoringUri": f"{host}/jobs",
            "provisioningState": "Succeeded",
        }
        location = body.get("location", self._world.region)
        document = self._world.resource(ENDPOINTS, name, properties, location=location, tags=body.get("tags") or {})
        self._world.state.put(ENDPOINTS, name.lower(), document)
        headers = self._world.operations.start(call, "mfe", of=lambda: document, about=f"{ENDPOINTS}/{name}")
        return Reply(document, 200 if known else 201, headers)

    def _delete(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"].lower()
        for part in list(self._world.state.all(DEPLOYMENTS, f"{name}/")):
            self._world.state.delete(DEPLOYMENTS, f"{name}/{part['name']}".lower())
        self._world.state.delete(ENDPOINTS, name)
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _parts(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"].lower()
        return page(list(self._world.state.all(DEPLOYMENTS, f"{name}/")), call)

    def _part(self, call: Call) -> Reply:
        self._find(call["name"])
        return Reply(self._find_part(call["name"], call["deployment"]))

    def _deploy(self, call: Call) -> Reply:
        name, part, body = self._find(call["name"])["name"], call["deployment"], body_of(call.body)
        given = body["properties"]
        if not NAME.fullmatch(part):
            raise bad_request(f"deployment name {part!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        pipeline = _pipeline_of(given)
        if pipeline:
            if self._find_component(pipeline).get("type") != "pipeline":
                raise bad_request(f"component {pipeline} is no pipeline")
        else:
            word(given, "outputAction", (ROWS, SUMMARY))
            whole(given, "miniBatchSize", 1, 10_000, default=10)
            # Whatever the job could not run with is refused now.
            self._jobs.composed.check("checked", self._scoring(given, self._world.store_uri("checked"), "uri_folder"))
        key = f"{name}/{part}".lower()
        known = self._world.state.get(DEPLOYMENTS, key)
        document = self._world.resource(
            f"{ENDPOINTS}/{name}/deployments",
            part,
            {**given, "provisioningState": "Succeeded"},
            location=body.get("location", self._world.region),
            tags=body.get("tags") or {},
        )
        self._world.state.put(DEPLOYMENTS, key, document)
        headers = self._world.operations.start(call, "mfe", of=lambda: document, about=f"{ENDPOINTS}/{name}/{part}")
        return Reply(document, 200 if known else 201, headers)

    def _undeploy(self, call: Call) -> Reply:
        endpoint = self._find(call["name"])
        part = self._find_part(call["name"], call["deployment"])["name"]
        if (endpoint["properties"].get("defaults") or {}).get("deploymentName") == part:
            cleared = merged(endpoint, {"properties": {"defaults": {"deploymentName": None}}})
            self._world.state.put(ENDPOINTS, endpoint["name"].lower(), cleared)
        self._world.state.delete(DEPLOYMENTS, f"{call['name']}/{part}".lower())
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _invoke(self, call: Call) -> Reply:
        if self._world.state.get(ENDPOINTS, call["name"].lower()) is None:
            raise not_found("Batch endpoint", call["name"])
        if not self._bears(call):
            return Reply({"error": {"code": "Unauthorized", "message": "the token is missing or wrong"}}, 401)
        endpoint = self._find(call["name"])
        default = (endpoint["properties"].get("defaults") or {}).get("deploymentName")
        part = str(call.headers.get("azureml-model-deployment") or default or "")
        if not part:
            raise bad_request(f"endpoint {endpoint['name']} has no default deployment, and none was named")
        deployment = self._find_part(endpoint["name"], part)["properties"]
        asked = (call.body or {}).get("properties") or {}
        pipeline = _pipeline_of(deployment)
        properties = self._of_pipeline(pipeline, deployment, asked) if pipeline else self._of_model(deployment, asked)
        properties |= {
            "displayName": str(asked.get("name") or f"{endpoint['name']}-{part}"),
            "experimentName": str((asked.get("properties") or {}).get("experimentName") or endpoint["name"]),
            "tags": {} if pipeline else {"azureml.batchrun": "true"},
            "properties": {"azureml.endpoint": endpoint["name"], "azureml.deployment": part},
        }
        name = f"batchjob-{uuid.uuid4()}"
        self._jobs.composed.check("checked", properties)
        self._jobs.create(name, properties)
        self._world.state.put(JOBS, name, {"name": name, "endpoint": endpoint["name"].lower(), "deployment": part})
        return Reply(self._described(name), 201)

    def _list_jobs(self, call: Call) -> Reply:
        wanted, part = self._find(call["name"])["name"].lower(), call.parameters.get("deployment")
        found = [
            job["name"]
            for job in self._world.state.all(JOBS)
            if job["endpoint"] == wanted and part in {None, job["deployment"]}
        ]
        return page(found, call, shown=self._described)

    def _described(self, name: str) -> dict[str, Any]:
        status = self._jobs.story(self._jobs.get(name)).status
        return self._world.resource("jobs", name, {"name": name, "status": status, "provisioningState": "Succeeded"})

    def _of_pipeline(self, identity: str, deployment: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        spec = self._find_component(identity)
        given = {name: _input(entry) for name, entry in (asked.get("inputData") or {}).items()}
        for name, entry in (spec.get("inputs") or {}).items():
            if name not in given and entry.get("default") is not None:
                given[name] = {"jobInputType": "literal", "value": str(entry["default"])}
        unknown = [name for name in given if name not in (spec.get("inputs") or {})]
        if unknown:
            raise bad_request(f"input {unknown[0]!r} is not an input of the pipeline {spec.get('name')}")
        settings = (deployment.get("deploymentConfiguration") or {}).get("settings") or {}
        compute = str(settings.get("default_compute") or deployment.get("compute") or "")
        wanted = asked.get("outputData") or {}
        outputs = {
            name: {"jobOutputType": str(entry.get("type") or "uri_folder"), **_output(wanted.get(name))}
            for name, entry in (spec.get("outputs") or {}).items()
        }
        if unknown := [name for name in wanted if name not in outputs]:
            raise bad_request(f"output {unknown[0]!r} is not an output of the pipeline {spec.get('name')}")
        return {
            "jobType": "Pipeline",
            "jobs": spec.get("jobs") or {},
            "inputs": given,
            "outputs": outputs,
            "settings": {
                "default_compute": compute.rpartition("/")[2],
                "continue_on_step_failure": str(settings.get("continue_on_step_failure", True)).lower() == "true",
            },
        }

    def _of_model(self, deployment: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, Any]:
        given = list((asked.get("inputData") or {}).values())
        if len(given) != 1:
            raise bad_request(f"a model scores one input, and here are {len(given)}")
        source = _input(given[0])
        changed = {name: asked[name] for name in ("miniBatchSize", "outputFileName", "errorThreshold") if name in asked}
        scored = self._scoring({**deployment, **changed}, source["uri"], str(source["jobInputType"]))
        wanted = list((asked.get("outputData") or {}).values())
        if len(wanted) > 1:
            raise bad_request(f"a model has one output, and here are {len(wanted)}")
        scored["outputs"][SCORE] |= _output(wanted[0] if wanted else None)
        return scored

    def _scoring(self, deployment: Mapping[str, Any], uri: str, kind: str) -> dict[str, Any]:
        """Return the pipeline with the one step that scores files."""
        configured = deployment.get("codeConfiguration") or {}
        model = deployment.get("model") or {}
        identity = str(model.get("assetId") if isinstance(model, Mapping) else model or "")
        code = str(configured.get("codeId") or "")
        script = str(configured.get("scoringScript") or "")
        line = (
            f"{_DRIVER} '{script}' {int(deployment.get('miniBatchSize') or 10)} "
            f"{deployment.get('outputAction') or ROWS} {int(deployment.get('errorThreshold', -1))} "
            "${{inputs.data}} ${{inputs.model}} ${{outputs.score}} "
            f"'{deployment.get('outputFileName') or 'predictions.csv'}'"
        )
        spec = {
            "name": STEP,
            "type": "command",
            "command": line,
            "environment": str(deployment.get("environmentId") or _CURATED),
            "inputs": {"data": {"type": "uri_folder"}, "model": {"type": "custom_model"}},
            "outputs": {SCORE: {"type": "uri_folder"}},
            "environment_variables": dict(deployment.get("environmentVariables") or {}),
            **({"code": code} if code else {}),
        }
        step = {
            "name": STEP,
            "type": "command",
            "componentId": self._keep_component(spec),
            "computeId": deployment.get("compute"),
            "inputs": {
                "data": {"job_input_type": kind, "uri": uri},
                "model": {"job_input_type": "custom_model", "uri": identity},
            },
            "outputs": {SCORE: {"value": "${{parent.outputs.score}}", "type": "literal"}},
        }
        outputs = {SCORE: {"jobOutputType": "uri_folder"}}
        return {"jobType": "Pipeline", "jobs": {STEP: step}, "inputs": {}, "outputs": outputs, "settings": {}}


def _pipeline_of(deployment: Mapping[str, Any]) -> str:
    """Return the id of the pipeline that a deployment runs, nothing for one of a model."""
    configured = deployment.get("deploymentConfiguration") or {}
    component = configured.get("componentId")
    found = str(component.get("assetId") if isinstance(component, Mapping) else component or "")
    if found and component_version(found) is None:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: batch deployments of {found}")
    return found


def _input(entry: Mapping[str, Any]) -> dict[str, Any]:
    given = str(entry.get("jobInputType") or "UriFolder")
    kind = _KINDS.get(given, given.lower())
    if kind == "literal":
        return {"jobInputType": "literal", "value": str(entry.get("value"))}
    uri = str(entry.get("uri") or "")
    if not uri:
        raise bad_request("an input has no 'uri'", "ValidationError")
    return {"jobInputType": kind, "uri": uri}


def _output(entry: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return where an output is to go, if that was said."""
    uri = str((entry or {}).get("uri") or "")
    return {"uri": uri} if uri else {}
