"""Environments: a workspace's own, and the curated ones of the registry by name; none is built, and none is needed.

A command runs with the interpreter of this machine whatever its environment says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from azft.snapshot import curated_environments
from azft.testing.emulator.clock import iso
from azft.testing.emulator.services.registries import HOST, VERSIONS
from azft.testing.emulator.services.versions import check_name, container, newest_first
from azft.testing.emulator.shapes import body_of, check_tags
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
    REGISTRY,
    WORKSPACE,
    Call,
    Operation,
    Reply,
    arm,
    bad_request,
    not_found,
    page,
    viewed,
)
from azft.testing.emulator.world import World

KIND = "environments"
_PREFIX = "AzureML-"
_IDENTITY = re.compile(
    r".*/workspaces/[^/]+/environments/([^/]+)/(?:versions|labels)/([^/]+)|azureml:([^:@/]+)[:@]([^:/]+)", re.IGNORECASE
)
_REGISTERED = re.compile(r"azureml://registries/([^/]+)/environments/([^/]+)/(versions|labels)/([^/]+)")


class Environments:
    """The environments of the workspace and of the registry "azureml"."""

    def __init__(self, world: World) -> None:
        self._world = world

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = WORKSPACE + "/environments"
        note = "the curated ones; nothing is built"
        paths = [("{name}/versions", self._registered), ("{name}/versions/{version}", self._one_registered)]
        return [
            arm("GET", base, self._containers, "REST specification"),
            arm("GET", base + "/{name}", self._container),
            arm("GET", base + "/{name}/versions", self._list),
            arm("GET", base + "/{name}/versions/{version}", self._get, note=note),
            arm("PUT", base + "/{name}/versions/{version}", self._put),
            *(
                Operation(
                    "GET",
                    HOST,
                    f"{REGISTRY}/environments/{path}",
                    handler,
                    "SDK source",
                    versions=VERSIONS,
                    note=note,
                )
                for path, handler in paths
            ),
        ]

    def check(self, identity: str) -> None:
        """Refuse a job's environment that does not exist."""
        if found := _REGISTERED.fullmatch(identity):
            known = found[1] == "azureml" and found[2] in curated_environments()
        else:
            parts = _IDENTITY.fullmatch(identity)
            name, version = (parts[1] or parts[3], parts[2] or parts[4]) if parts else ("", "")
            known = bool(self._find(name, version))
        if not known:
            raise bad_request(f"environment {identity or 'none'} does not exist")

    def _find(self, name: str, version: str) -> Document | None:
        if name.removeprefix(_PREFIX) in curated_environments():
            return self._curated(name, version)
        own = self._versions(name)
        return next((one for one in own if version in (one["name"], "latest")), None)

    def _versions(self, name: str) -> list[Document]:
        return newest_first(one for one in self._world.state.all(KIND, f"{name}:") if one["properties"]["of"] == name)

    def _curated(self, name: str, version: str) -> Document:
        known = curated_environments()[name.removeprefix(_PREFIX)]
        properties: dict[str, Any] = {
            "image": f"mcr.microsoft.com/azureml/curated/{name.removeprefix(_PREFIX)}:{known}",
            "osType": "Linux",
            "environmentType": "Curated",
            "isAnonymous": False,
            "isArchived": False,
            "tags": {},
            "properties": {},
        }
        shown = known if version in ("latest", "") else version
        return self._world.resource(
            f"environments/{name}/versions", shown, properties, systemData=self._world.system_data(0)
        )

    def _containers(self, call: Call) -> Reply:
        names = {document["properties"]["of"] for document in self._world.state.all(KIND)}
        return page(sorted(names), call, shown=self._described)

    def _container(self, call: Call) -> Reply:
        if call["name"].removeprefix(_PREFIX) not in curated_environments() and not self._versions(call["name"]):
            raise not_found("Environment", call["name"])
        return Reply(self._described(call["name"]))

    def _described(self, name: str) -> dict[str, Any]:
        own = self._versions(name)
        latest = str(own[0]["name"]) if own else curated_environments()[name.removeprefix(_PREFIX)]
        created = own[-1]["systemData"] if own else self._world.system_data(0)
        return container(self._world, KIND, name, latest, created)

    def _list(self, call: Call) -> Reply:
        name = call["name"]
        curated = name.removeprefix(_PREFIX) in curated_environments()
        found = [self._curated(name, "latest")] if curated else self._versions(name)
        return page(viewed(found, call), call, shown=_shown)

    def _get(self, call: Call) -> Reply:
        found = self._find(call["name"], call["version"])
        if found is None:
            raise not_found("Environment", f"{call['name']}:{call['version']}")
        return Reply(_shown(found))

    def _put(self, call: Call) -> Reply:
        name, version = call["name"], call["version"]
        properties = body_of(call.body)["properties"]
        check_tags(properties.get("tags") or {})
        check_name("environment", name, version)
        if not properties.get("image") and not properties.get("build"):
            raise bad_request(f"environment {name}:{version} has neither 'image' nor 'build'", "ValidationError")
        kind = "UserCreated"
        document = self._world.resource(
            f"environments/{name}/versions",
            version,
            {"osType": "Linux", **properties, "environmentType": kind, "of": name, "provisioningState": "Succeeded"},
            systemData=self._world.system_data(self._world.clock.now()),
        )
        self._world.state.put(KIND, f"{name}:{version}", document)
        return Reply(_shown(document), 201)

    def _registered(self, call: Call) -> Reply:
        found = [self._of_registry(call)] if call["name"] in curated_environments() else []
        return page(found, call)

    def _one_registered(self, call: Call) -> Reply:
        if call["name"] not in curated_environments():
            raise not_found("Environment", f"{call['name']}:{call['version']}")
        return Reply(self._of_registry(call))

    def _of_registry(self, call: Call) -> dict[str, Any]:
        version = call.parameters.get("version") or curated_environments()[call["name"]]
        base = f"azureml://registries/{call['registry']}/environments/{call['name']}/versions/{version}"
        found = self._curated(call["name"], version)
        return {**found, "id": base, "type": "environments", "systemData": {"createdAt": iso(0)}}


def _shown(document: Document) -> Document:
    """Return a version without what the emulator alone wants to know of it."""
    properties = {name: value for name, value in document["properties"].items() if name != "of"}
    return {**document, "properties": properties}
