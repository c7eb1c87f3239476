"""Online endpoints: resources, keys and traffic."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from azft.testing.emulator.router import merged
from azft.testing.emulator.services.deployments import DEPLOYMENTS, ENDPOINTS, NAME, Deployments
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
from azft.testing.emulator.world import World


class OnlineEndpoints:
    """Endpoints by name; their deployments go with them."""

    def __init__(self, world: World, deployments: Deployments) -> None:
        self._world = world
        self._deployments = deployments

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        one = WORKSPACE + "/onlineEndpoints/{name}"
        return [
            arm("GET", WORKSPACE + "/onlineEndpoints", self._list, "REST specification"),
            arm("GET", one, self._get),
            arm("PUT", one, self._put, note="names of 3 to 32 characters; traffic to deployments that exist"),
            arm("DELETE", one, self._delete, note="its deployments go with it"),
            arm("POST", one + "/listKeys", self._keys),
        ]

    def _find(self, name: str) -> Document:
        found = self._world.state.get(ENDPOINTS, name.lower())
        if found is None:
            raise not_found("Online endpoint", name)
        return found

    def _list(self, call: Call) -> Reply:
        return page([_shown(document) for document in self._world.state.all(ENDPOINTS)], call)

    def _get(self, call: Call) -> Reply:
        return Reply(_shown(self._find(call["name"])))

    def _put(self, call: Call) -> Reply:
        name, body = call["name"], call.body or {}
        if not NAME.fullmatch(name):
            raise bad_request(f"endpoint name {name!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        known = self._world.state.get(ENDPOINTS, name.lower())
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
        document = self._world.resource(ENDPOINTS, name, properties, location=body.get("location", self._world.region))
        document |= {"tags": body.get("tags") or {}, "identity": body.get("identity") or {"type": "SystemAssigned"}}
        document["keys"] = known["keys"] if known else [secrets.token_urlsafe(32), secrets.token_urlsafe(32)]
        self._world.state.put(ENDPOINTS, name.lower(), document)
        headers = self._world.operations.start(call, "mfe")
        shown = merged(_shown(document), {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _delete(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"].lower()

        def work() -> None:
            self._deployments.remove_all(name)

        self._world.state.delete(ENDPOINTS, name)
        return Reply(None, 202, self._world.operations.start(call, "mfe", work))

    def _keys(self, call: Call) -> Reply:
        first, second = self._find(call["name"])["keys"]
        return Reply({"primaryKey": first, "secondaryKey": second})


def _shown(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "keys"}
