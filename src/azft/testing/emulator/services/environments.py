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
from azft.testing.emulator.services.versions import archived, check_name, container, is_same, newest_first
from azft.testing.emulator.shapes import body_of, check_tags
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
    REGISTRY,
    WORKSPACE,
    Call,
    Operation,
    Reply,
    WireError,
    arm,
    bad_request,
    not_found,
    page,
    viewed,
)
from azft.testing.emulator.world import World

KIND = "environments"
ANONYMOUS = "CliV2AnonymousEnvironment"
"""Holds those that a job brings along, each under a digest of what it is (azure-ai-ml)."""
CONTENT = ("image", "build", "condaFile", "inferenceConfig", "osType")
"""What a version is; another one of it is another version (azure-sdk-for-python 38590)."""
REGISTERED = "Environment {name} with version {version} is already registered and cannot be changed."
"""What the service says of a version that is there and is another one (azure-cli-extensions 5440)."""
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
            arm("PUT", base + "/{name}", self._archive, note="archives or restores every version"),
            arm("GET", base + "/{name}/versions", self._list),
            arm("GET", base + "/{name}/versions/{version}", self._get, note=note),
            arm("PUT", base + "/{name}/versions/{version}", self._put, note="409 where it is there and another one"),
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

    def check_own(self, identity: str) -> None:
        """Refuse an environment of the workspace's own that does not exist; those of others may be older than ours."""
        own = _IDENTITY.fullmatch(identity)
        if own and not (own[1] or own[3]).startswith(_PREFIX):
            self.check(identity)

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
        own = next((one for one in self._versions(name) if version in (one["name"], "latest")), None)
        if own is None and name.removeprefix(_PREFIX) in curated_environments():
            return self._curated(name, version)
        return own

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
        return page(viewed([self._described(name) for name in sorted(names)], call), call)

    def _container(self, call: Call) -> Reply:
        if call["name"].removeprefix(_PREFIX) not in curated_environments() and not self._versions(call["name"]):
            raise not_found("Environment", call["name"])
        return Reply(self._described(call["name"]))

    def _described(self, name: str) -> dict[str, Any]:
        return container(self._world, KIND, name, self._versions(name) or [self._curated(name, "latest")])

    def _archive(self, call: Call) -> Reply:
        for one in archived(call, "Environment", self._versions(call["name"])):
            self._world.state.put(KIND, f"{call['name']}:{one['name']}", one)
        return Reply(self._described(call["name"]))

    def _list(self, call: Call) -> Reply:
        name = call["name"]
        own = self._versions(name)
        curated = not own and name.removeprefix(_PREFIX) in curated_environments()
        found = [self._curated(name, "latest")] if curated else own
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
        added = {"environmentType": "UserCreated", "of": name, "provisioningState": "Succeeded"}
        given = {"osType": "Linux", **properties, **added}
        known = self._world.state.get(KIND, f"{name}:{version}")
        if known is not None and name != ANONYMOUS and not is_same(known["properties"], given, CONTENT):
            raise WireError(409, "UserError", REGISTERED.format(name=name, version=version))
        created = known["systemData"] if known else self._world.system_data(self._world.clock.now())
        document = self._world.resource(f"environments/{name}/versions", version, given, systemData=created)
        self._world.state.put(KIND, f"{name}:{version}", document)
        return Reply(_shown(document), 200 if known else 201)

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
