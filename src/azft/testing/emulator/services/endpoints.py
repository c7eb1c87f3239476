"""Online endpoints: resources, keys and traffic."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from azft.testing.emulator.router import merged
from azft.testing.emulator.services.deployments import ENDPOINTS, NAME, Deployments
from azft.testing.emulator.shapes import AUTH_MODES, body_of, check_tags, mirrored, shares, word
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

KEYS = ("Primary", "Secondary")
TOKEN_LIVES = 43_200
"""Seconds that the token of an endpoint lives."""


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
            arm("PATCH", one, self._patch, "REST specification"),
            arm("POST", one + "/listKeys", self._keys, note="only where keys are the sign-in"),
            arm("POST", one + "/regenerateKeys", self._regenerate, note="the other key stays as it is"),
            arm("POST", one + "/token", self._token, note="only where keys are not the sign-in"),
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
        name, body = call["name"], body_of(call.body)
        word(body["properties"], "authMode", AUTH_MODES, needed=True)
        if not NAME.fullmatch(name):
            raise bad_request(f"endpoint name {name!r}: 3 to 32 letters, digits and '-', beginning with a letter")
        known = self._world.state.get(ENDPOINTS, name.lower())
        self._world.operations.check_free(f"{ENDPOINTS}/{name}")
        traffic = shares(body["properties"].get("traffic"))
        mirror = mirrored(body["properties"].get("mirrorTraffic"), traffic)
        for given in (traffic, mirror):
            missing = [part for part in given if not self._deployments.exists(name, part)]
            if missing:
                raise bad_request(f"traffic {given}: {', '.join(missing)} is no deployment of {name}")
        host = f"https://{name.lower()}.{self._world.region}.inference.ml.azure.com"
        properties = {
            **body.get("properties", {}),
            "scoringUri": f"{host}/score",
            "swaggerUri": f"{host}/swagger.json",
            "provisioningState": "Succeeded",
        }
        document = self._world.resource(ENDPOINTS, name, properties, location=body.get("location", self._world.region))
        identity = self._world.identity(body.get("identity") or {"type": "SystemAssigned"}, name)
        document |= {"tags": body.get("tags") or {}, "identity": identity}
        document["keys"] = known["keys"] if known else [secrets.token_urlsafe(32), secrets.token_urlsafe(32)]
        self._world.state.put(ENDPOINTS, name.lower(), document)
        headers = self._world.operations.start(
            call, "mfe", of=lambda: _shown(self._find(name)), about=f"{ENDPOINTS}/{name}"
        )
        shown = merged(_shown(document), {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _delete(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"].lower()
        self._world.operations.check_free(f"{ENDPOINTS}/{name}")

        def work() -> None:
            self._deployments.remove_all(name)

        self._world.state.delete(ENDPOINTS, name)
        headers = self._world.operations.start(call, "mfe", work, about=f"{ENDPOINTS}/{name}")
        return Reply(None, 202, headers)

    def _patch(self, call: Call) -> Reply:
        """Change tags, identity or kind: nothing else of an endpoint can be patched."""
        known = self._find(call["name"])
        body = call.body if isinstance(call.body, dict) else {}
        if "tags" in body:
            check_tags(body["tags"])
        changed = merged(known, {name: body[name] for name in ("tags", "identity", "kind") if name in body})
        self._world.state.put(ENDPOINTS, known["name"].lower(), changed)
        return Reply(_shown(changed))

    def _token(self, call: Call) -> Reply:
        found = self._find(call["name"])
        if found["properties"].get("authMode") == "Key":
            raise bad_request(f"endpoint {call['name']} takes keys, and gives no tokens")
        now = int(self._world.clock.now())
        times = {"expiryTimeUtc": now + TOKEN_LIVES, "refreshAfterTimeUtc": now + TOKEN_LIVES // 2}
        return Reply({"accessToken": found["keys"][0], "tokenType": "Bearer", **times})

    def _regenerate(self, call: Call) -> Reply:
        found = self._find(call["name"])
        if found["properties"].get("authMode") != "Key":
            raise bad_request(f"endpoint {call['name']} has no keys: its sign-in is {found['properties']['authMode']}")
        body = call.body if isinstance(call.body, dict) else {}
        which = KEYS.index(word(body, "keyType", KEYS, needed=True))
        # The SDK sends the key as it stands, and means another one.
        found["keys"][which] = secrets.token_urlsafe(32)
        self._world.state.put(ENDPOINTS, found["name"].lower(), found)
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _keys(self, call: Call) -> Reply:
        found = self._find(call["name"])
        if found["properties"].get("authMode") != "Key":
            raise bad_request(f"endpoint {call['name']} has no keys: its sign-in is {found['properties']['authMode']}")
        first, second = found["keys"]
        return Reply({"primaryKey": first, "secondaryKey": second})


def _shown(document: Document) -> Document:
    return {key: value for key, value in document.items() if key != "keys"}
