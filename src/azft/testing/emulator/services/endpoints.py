"""Online endpoints and their deployments: resources, keys, traffic and logs."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from azft.snapshot import virtual_machines
from azft.testing.emulator.router import merged
from azft.testing.emulator.serving import Servers
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
    ARM,
    ARM_VERSIONS,
    WORKSPACE,
    Call,
    Operation,
    Reply,
    bad_request,
    not_found,
    page,
)
from azft.testing.emulator.world import World

KIND = "onlineEndpoints"
DEPLOYMENTS = "deployments"
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,30}[A-Za-z0-9]")
_SECONDS = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?")
LONGEST_REQUEST = 180.0


class OnlineEndpoints:
    """Endpoints; each deployment is a server process of this machine, started when it is first needed."""

    def __init__(self, world: World, servers: Servers, folder_of: Callable[[str], Path | None]) -> None:
        self._world = world
        self._servers = servers
        self._folder_of = folder_of

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        one = WORKSPACE + "/onlineEndpoints/{name}"
        part = one + "/deployments/{deployment}"
        scoring = f"{{name}}.{self._world.region}.inference.ml.azure.com"
        return [
            Operation(
                "GET", ARM, WORKSPACE + "/onlineEndpoints", self._list, "REST specification", versions=ARM_VERSIONS
            ),
            Operation("GET", ARM, one, self._get, "SDK source", versions=ARM_VERSIONS),
            Operation(
                "PUT",
                ARM,
                one,
                self._put,
                "SDK source",
                versions=ARM_VERSIONS,
                note="names of 3 to 32 characters; traffic to deployments that exist",
            ),
            Operation(
                "DELETE", ARM, one, self._delete, "SDK source", versions=ARM_VERSIONS, note="its deployments go with it"
            ),
            Operation("POST", ARM, one + "/listKeys", self._keys, "SDK source", versions=ARM_VERSIONS),
            Operation("GET", ARM, one + "/deployments", self._deployments, "SDK source", versions=ARM_VERSIONS),
            Operation("GET", ARM, part, self._deployment, "SDK source", versions=ARM_VERSIONS),
            Operation(
                "PUT",
                ARM,
                part,
                self._deploy,
                "SDK source",
                versions=ARM_VERSIONS,
                note="really serves the model; request timeouts up to 180 s",
            ),
            Operation(
                "DELETE",
                ARM,
                part,
                self._undeploy,
                "SDK source",
                versions=ARM_VERSIONS,
                note="refused while it has traffic (documentation)",
            ),
            Operation("POST", ARM, part + "/getLogs", self._logs, "SDK source", versions=ARM_VERSIONS),
            Operation(
                "POST",
                scoring,
                "/{rest}",
                self._score,
                "documentation",
                note="/score and /v1/chat/completions, by traffic or the header azureml-model-deployment",
                open=True,
            ),
        ]

    def _find(self, name: str) -> Document:
        found = self._world.state.get(KIND, name.lower())
        if found is None:
            raise not_found("Online endpoint", name)
        return found

    def _list(self, call: Call) -> Reply:
        return page([_shown(document) for document in self._world.state.all(KIND)], call)

    def _get(self, call: Call) -> Reply:
        return Reply(_shown(self._find(call["name"])))

    def _put(self, call: Call) -> Reply:
        name, body = call["name"], call.body or {}
        if not _NAME.fullmatch(name):
            raise bad_request(f"endpoint name {name!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        known = self._world.state.get(KIND, name.lower())
        traffic = body.get("properties", {}).get("traffic") or {}
        missing = [
            part for part in traffic if self._world.state.get(DEPLOYMENTS, f"{name.lower()}/{part.lower()}") is None
        ]
        if missing or sum(traffic.values()) not in {0, 100}:
            raise bad_request(f"traffic {traffic}: shares of deployments that exist, 0 or 100 together")
        host = f"https://{name.lower()}.{self._world.region}.inference.ml.azure.com"
        properties = {
            **body.get("properties", {}),
            "scoringUri": f"{host}/score",
            "swaggerUri": f"{host}/swagger.json",
            "provisioningState": "Succeeded",
        }
        document = self._world.resource(KIND, name, properties, location=body.get("location", self._world.region))
        document |= {"tags": body.get("tags") or {}, "identity": body.get("identity") or {"type": "SystemAssigned"}}
        document["keys"] = known["keys"] if known else [secrets.token_urlsafe(32), secrets.token_urlsafe(32)]
        self._world.state.put(KIND, name.lower(), document)
        headers = self._world.operations.start(call, "mfe")
        shown = merged(_shown(document), {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _delete(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"].lower()

        def work() -> None:
            for part in self._parts(name):
                self._remove(name, part["name"])

        self._world.state.delete(KIND, name)
        return Reply(None, 202, self._world.operations.start(call, "mfe", work))

    def _keys(self, call: Call) -> Reply:
        first, second = self._find(call["name"])["keys"]
        return Reply({"primaryKey": first, "secondaryKey": second})

    def _parts(self, name: str) -> list[Document]:
        return list(self._world.state.all(DEPLOYMENTS, f"{name.lower()}/"))

    def _deployments(self, call: Call) -> Reply:
        self._find(call["name"])
        return page(self._parts(call["name"]), call)

    def _part(self, call: Call) -> Document:
        self._find(call["name"])
        found = self._world.state.get(DEPLOYMENTS, f"{call['name']}/{call['deployment']}".lower())
        if found is None:
            raise not_found("Online deployment", call["deployment"])
        return found

    def _deployment(self, call: Call) -> Reply:
        return Reply(self._part(call))

    def _deploy(self, call: Call) -> Reply:
        name, part, body = self._find(call["name"])["name"], call["deployment"], call.body or {}
        given = body.get("properties") or {}
        if not _NAME.fullmatch(part):
            raise bad_request(f"deployment name {part!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        size = str(given.get("instanceType", ""))
        if size.lower() not in {machine.name.lower() for machine in virtual_machines()}:
            raise bad_request(f"instance type {size!r} is not available in {self._world.region}")
        if _seconds((given.get("requestSettings") or {}).get("requestTimeout", "PT5S")) > LONGEST_REQUEST:
            raise bad_request(f"requestTimeout is above {LONGEST_REQUEST:g} seconds")
        folder = self._folder_of(str(given.get("model", "")))
        key = f"{name}/{part}".lower()
        added = {
            "scaleSettings": given.get("scaleSettings") or {"scaleType": "Default"},
            "provisioningState": "Creating",
        }
        resource = self._world.resource(
            f"{KIND}/{name}/deployments", part, {**given, **added}, location=body.get("location")
        )
        sku = body.get("sku") or {"name": "Default", "capacity": 1}
        document = self._world.state.put(DEPLOYMENTS, key, {**resource, "tags": body.get("tags") or {}, "sku": sku})

        def work() -> None:
            try:
                self._servers.start(key, folder)
            except BaseException:
                self._world.state.put(
                    DEPLOYMENTS, key, merged(document, {"properties": {"provisioningState": "Failed"}})
                )
                raise
            self._world.state.put(
                DEPLOYMENTS, key, merged(document, {"properties": {"provisioningState": "Succeeded"}})
            )

        return Reply(document, 201, self._world.operations.start(call, "mfe", work))

    def _undeploy(self, call: Call) -> Reply:
        part = self._part(call)["name"]
        endpoint = self._find(call["name"])
        if (endpoint["properties"].get("traffic") or {}).get(part, 0) > 0:
            raise bad_request(f"deployment {part} still has traffic; set it to 0 first")
        headers = self._world.operations.start(call, "mfe", lambda: self._remove(call["name"], part))
        return Reply(None, 202, headers)

    def _remove(self, name: str, part: str) -> None:
        self._servers.stop(f"{name}/{part}".lower())
        self._world.state.delete(DEPLOYMENTS, f"{name}/{part}".lower())

    def _logs(self, call: Call) -> Reply:
        self._part(call)
        text = self._servers.log(f"{call['name']}/{call['deployment']}".lower())
        most = int((call.body or {}).get("tail") or 5000)
        return Reply({"content": "".join(text.splitlines(keepends=True)[-most:])})

    def _score(self, call: Call) -> Reply:
        endpoint = self._find(call["name"])
        scheme, _, key = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not any(hmac.compare_digest(key, known) for known in endpoint["keys"]):
            return Reply({"error": {"code": "Unauthorized", "message": "the key is missing or wrong"}}, 401)
        traffic = endpoint["properties"].get("traffic") or {}
        part = call.headers.get("azureml-model-deployment") or next(
            (name for name, share in traffic.items() if share), ""
        )
        found = self._world.state.get(DEPLOYMENTS, f"{call['name']}/{part}".lower()) if part else None
        if found is None:
            return Reply({"error": {"code": "NotFound", "message": f"no deployment {part!r} with traffic"}}, 404)
        if found["properties"]["provisioningState"] != "Succeeded":
            return Reply({"error": {"code": "DeploymentNotReady", "message": f"deployment {part} is not ready"}}, 424)
        folder = self._folder_of(str(found["properties"].get("model", "")))
        reply = self._servers.ask(f"{call['name']}/{part}".lower(), folder, call.path, call.body)
        return Reply(reply.body, reply.status, {**reply.headers, "azureml-model-deployment": part})


def _shown(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "keys"}


def _seconds(duration: Any) -> float:
    found = _SECONDS.fullmatch(str(duration))
    if found is None:
        raise bad_request(f"{duration!r} is not a duration such as PT1M30S")
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + seconds
