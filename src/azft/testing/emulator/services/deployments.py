"""Deployments of online endpoints: a model behind an address, its logs, and the scoring address itself."""

from __future__ import annotations

import hmac
import random
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

from azft.snapshot import virtual_machines
from azft.testing.emulator.commands.jobs import code_of
from azft.testing.emulator.router import merged
from azft.testing.emulator.serving import Served, Servers, prepared
from azft.testing.emulator.shapes import body_of, seconds_of, whole
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
    WORKSPACE,
    Call,
    Operation,
    Reply,
    arm,
    bad_request,
    not_found,
    page,
)
from azft.testing.emulator.world import World, folder_for

ENDPOINTS = "onlineEndpoints"
DEPLOYMENTS = "deployments"
NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
"""Of an endpoint and of a deployment alike."""
LONGEST_REQUEST = 180.0
MOST_INSTANCES = 50
"""Of a deployment (how-to-manage-quotas)."""
NO_MODEL = 'mlflow.exceptions.MlflowException: Could not find an "MLmodel" configuration file at "/var/azureml-app"'
"""What the container of a model says that holds none (mlflow 3, models/model.py)."""


class Deployments:
    """Each deployment is a server process of this machine, started when it is first needed."""

    def __init__(
        self,
        world: World,
        servers: Servers,
        model_of: Callable[[str], Served],
        bears: Callable[[Call], bool],
        check_environment: Callable[[str], None],
    ) -> None:
        self._world = world
        self._check_environment = check_environment
        self._bears = bears
        self._servers = servers
        self._model_of = model_of
        self._copies = ThreadPoolExecutor(2, thread_name_prefix="azft-mirror-traffic")

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        one = WORKSPACE + "/onlineEndpoints/{name}"
        part = one + "/deployments/{deployment}"
        scoring = f"{{name}}.{self._world.region}.inference.ml.azure.com"
        return [
            arm("GET", one + "/deployments", self._deployments),
            arm("GET", part, self._deployment),
            arm(
                "PUT",
                part,
                self._deploy,
                note="a scoring script or the model as it is, with this machine's interpreter; timeouts up to 180 s",
            ),
            arm("DELETE", part, self._undeploy, note="refused while it has traffic (documentation)"),
            arm("POST", part + "/getLogs", self._logs),
            arm("GET", part + "/skus", self._skus, "REST specification"),
            Operation(
                "POST",
                scoring,
                "/{rest}",
                self._score,
                "documentation",
                note="/score and /v1/chat/completions, by traffic or the header azureml-model-deployment; "
                "vLLM's face is answered by the local server",
                open=True,
            ),
        ]

    def close(self) -> None:
        """Send no copies any more."""
        self._copies.shutdown(wait=True, cancel_futures=True)

    def exists(self, endpoint: str, part: str) -> bool:
        """Whether an endpoint has a deployment of that name."""
        return self._find(endpoint, part) is not None

    def _find(self, endpoint: str, part: str) -> Document | None:
        return self._world.state.get(DEPLOYMENTS, f"{endpoint}/{part}".lower())

    def remove_all(self, endpoint: str) -> None:
        """End every deployment of an endpoint."""
        for part in self._parts(endpoint):
            self._remove(endpoint, part["name"])

    def _endpoint(self, name: str) -> Document:
        found = self._world.state.get(ENDPOINTS, name.lower())
        if found is None:
            raise not_found("Online endpoint", name)
        return found

    def _parts(self, name: str) -> list[Document]:
        return list(self._world.state.all(DEPLOYMENTS, f"{name.lower()}/"))

    def _deployments(self, call: Call) -> Reply:
        self._endpoint(call["name"])
        return page(self._parts(call["name"]), call)

    def _part(self, call: Call) -> Document:
        self._endpoint(call["name"])
        found = self._find(call["name"], call["deployment"])
        if found is None:
            raise not_found("Online deployment", call["deployment"])
        return found

    def _deployment(self, call: Call) -> Reply:
        return Reply(self._part(call))

    def _deploy(self, call: Call) -> Reply:
        name, part, body = self._endpoint(call["name"])["name"], call["deployment"], body_of(call.body)
        given = body["properties"]
        self._world.operations.check_free(f"{ENDPOINTS}/{name}/{part}")
        capacity = body.get("sku") or {}
        whole(capacity if isinstance(capacity, dict) else {}, "capacity", 1, MOST_INSTANCES, default=1)
        if not NAME.fullmatch(part):
            raise bad_request(f"deployment name {part!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        size = str(given.get("instanceType", ""))
        if size.lower() not in {machine.name.lower() for machine in virtual_machines()}:
            raise bad_request(f"instance type {size!r} is not available in {self._world.region}")
        if seconds_of((given.get("requestSettings") or {}).get("requestTimeout", "PT5S")) > LONGEST_REQUEST:
            raise bad_request(f"requestTimeout is above {LONGEST_REQUEST:g} seconds")
        self._check_environment(str(given.get("environmentId") or ""))
        key = f"{name}/{part}".lower()
        self._servers.stop(key)
        served = self._served(key, given)
        if not served.kind:
            self._servers.fail(key, NO_MODEL)
        added = {
            "scaleSettings": given.get("scaleSettings") or {"scaleType": "Default"},
            "provisioningState": "Creating",
        }
        resource = self._world.resource(
            f"{ENDPOINTS}/{name}/deployments", part, {**given, **added}, location=body.get("location")
        )
        sku = body.get("sku") or {"name": "Default", "capacity": 1}
        document = self._world.state.put(DEPLOYMENTS, key, {**resource, "tags": body.get("tags") or {}, "sku": sku})

        def work() -> None:
            state = "Failed"
            try:
                self._servers.start(key, served)
                state = "Succeeded"
            finally:
                self._world.state.put(DEPLOYMENTS, key, merged(document, {"properties": {"provisioningState": state}}))

        headers = self._world.operations.start(
            call, "mfe", work, of=lambda: self._world.state.get(DEPLOYMENTS, key), about=f"{ENDPOINTS}/{name}/{part}"
        )
        return Reply(document, 201, headers)

    def _copy(self, call: Call, part: str) -> None:
        """Ask the deployment that gets a copy, if it is ready; nobody hears its answer, and its log has the rest."""
        found = self._find(call["name"], part)
        if found is not None and found["properties"]["provisioningState"] == "Succeeded":
            with suppress(RuntimeError):  # The emulator stops.
                self._copies.submit(self._ask, call, found)

    def _ask(self, call: Call, found: Document) -> Reply:
        key = f"{call['name']}/{found['name']}".lower()
        return self._servers.ask(key, lambda: self._served(key, found["properties"]), call.path, call.body)

    def _served(self, key: str, given: Mapping[str, Any]) -> Served:
        """Return what a deployment serves: its script, if it has one, or its model."""
        model = str(given.get("model") or "")
        configured = given.get("codeConfiguration") or {}
        if not configured.get("scoringScript"):
            return self._model_of(model)
        place = folder_for(self._world.state.folder, f"containers/{key}")
        code = self._code(str(configured.get("codeId") or ""), place / "code")
        script = str(configured["scoringScript"])
        if not (code / script).resolve().is_relative_to(code.resolve()) or not (code / script).is_file():
            raise bad_request(f"scoringScript {script!r} is not in the code")
        served = self._model_of(model) if model else Served("", place / "none")
        variables = {str(name): str(value) for name, value in (given.get("environmentVariables") or {}).items()}
        return prepared(served, code, script, variables, place)

    def _code(self, identity: str, target: Path) -> Path:
        place = code_of(self._world, identity)
        container, _, path = place.partition("/")
        shutil.rmtree(target, ignore_errors=True)
        return self._world.blobs.link(container, path, target)

    def _undeploy(self, call: Call) -> Reply:
        part = self._part(call)["name"]
        endpoint = self._endpoint(call["name"])
        for share in ("traffic", "mirrorTraffic"):
            if (endpoint["properties"].get(share) or {}).get(part, 0) > 0:
                raise bad_request(f"deployment {part} still has traffic; set it to 0 first")
        headers = self._world.operations.start(call, "mfe", lambda: self._remove(call["name"], part))
        return Reply(None, 202, headers)

    def _remove(self, name: str, part: str) -> None:
        self._servers.stop(f"{name}/{part}".lower())
        self._world.state.delete(DEPLOYMENTS, f"{name}/{part}".lower())

    def _skus(self, call: Call) -> Reply:
        self._part(call)
        capacity = {"minimum": 1, "maximum": MOST_INSTANCES, "default": 1, "scaleType": "Manual"}
        kind = "Microsoft.MachineLearning.Services/endpoints/deployments"
        sku = {"resourceType": kind, "sku": {"name": "Default", "tier": "Standard"}, "capacity": capacity}
        return Reply({"value": [sku]})

    def _logs(self, call: Call) -> Reply:
        self._part(call)
        text = self._servers.log(f"{call['name']}/{call['deployment']}".lower())
        most = int((call.body or {}).get("tail") or 5000)
        return Reply({"content": "".join(text.splitlines(keepends=True)[-most:])})

    def _score(self, call: Call) -> Reply:
        endpoint = self._endpoint(call["name"])
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        known = [] if endpoint["properties"].get("authMode") == "AADToken" else endpoint["keys"]
        given = key.encode("utf-8", "replace")
        right = any(hmac.compare_digest(given, one.encode()) for one in known) or (not known and self._bears(call))
        if scheme.lower() != "bearer" or not right:
            return Reply({"error": {"code": "Unauthorized", "message": "the key is missing or wrong"}}, 401)
        part = call.headers.get("azureml-model-deployment") or _drawn(endpoint["properties"].get("traffic") or {})
        found = self._find(call["name"], part) if part else None
        if found is None:
            return Reply({"error": {"code": "NotFound", "message": f"no deployment {part!r} with traffic"}}, 404)
        if found["properties"]["provisioningState"] != "Succeeded":
            return Reply({"error": {"code": "DeploymentNotReady", "message": f"deployment {part} is not ready"}}, 424)
        mirror = endpoint["properties"].get("mirrorTraffic") or {}
        copied = _drawn({**mirror, "": 100 - sum(mirror.values())}) if mirror else ""
        if copied:
            self._copy(call, copied)
        reply = self._ask(call, found)
        return Reply(reply.body, reply.status, {**reply.headers, "azureml-model-deployment": part})


def _drawn(traffic: Mapping[str, int]) -> str:
    """Return a deployment by its share, nothing where none has one."""
    live = {name: share for name, share in traffic.items() if share > 0}
    return random.choices(list(live), list(live.values()))[0] if live else ""
