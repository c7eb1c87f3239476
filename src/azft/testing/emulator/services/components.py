"""Components of the workspace: commands and pipelines of them, registered by name or anonymously by their hash."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import orjson

from azft.testing.emulator.composed.graph import EMULATED, component_version
from azft.testing.emulator.services.versions import archived, check_name, container, is_same, newest_first
from azft.testing.emulator.shapes import body_of, check_tags
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import (
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

KIND = "components"
ANONYMOUS = "azureml_anonymous"
"""Holds the components that a pipeline brings along, each under a version that is a digest of it (azure-ai-ml)."""
DESCRIBING = frozenset({"description", "display_name", "tags", "id", "creation_context"})
"""What may be said anew of a component that is there (az ml component update), and what the service has added to it."""
DEFAULT = "azureml_default"
"""The version that is asked for where none is named (azure-ai-ml)."""


class Components:
    """The component resources of the workspace."""

    def __init__(self, world: World, check_environment: Callable[[str], None]) -> None:
        self._world = world
        self._check_environment = check_environment

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = WORKSPACE + "/components"
        one = base + "/{name}/versions/{version}"
        said = "the container's latest version follows from its versions"
        note = "commands and pipelines; another spec under the same version is refused (inferred)"
        return [
            arm("GET", base, self._containers),
            arm("GET", base + "/{name}", self._container, note=said),
            arm("PUT", base + "/{name}", self._archive, note="archives or restores every version"),
            arm("GET", base + "/{name}/versions", self._list),
            arm("GET", one, self._get),
            arm("PUT", one, self._put, note=note),
        ]

    def spec(self, identity: str) -> dict[str, Any]:
        """Return the specification that an id means; the service's refusal where there is none."""
        found = component_version(identity)
        document = self._find(*found) if found else None
        if document is None:
            raise bad_request(f"component {identity or 'none'} does not exist")
        return dict(document["properties"]["componentSpec"])

    def keep(self, spec: dict[str, Any]) -> str:
        """Keep a component of the emulator's own anonymously, under a digest of it, and return its id."""
        version = str(uuid.uuid5(uuid.NAMESPACE_URL, orjson.dumps(spec, option=orjson.OPT_SORT_KEYS).decode()))
        key = f"{ANONYMOUS}:{version}"
        if self._world.state.get(KIND, key) is None:
            self._check(ANONYMOUS, spec)
            properties = {"componentSpec": {"version": version, **spec}, "isAnonymous": True, "isArchived": False}
            made = self._world.resource(
                f"components/{ANONYMOUS}/versions",
                version,
                properties,
                systemData=self._world.system_data(self._world.clock.now()),
            )
            self._world.state.put(KIND, key, {**made, "key": ANONYMOUS})
        return f"{self._world.id}/components/{ANONYMOUS}/versions/{version}"

    def _find(self, name: str, version: str) -> Document | None:
        if version == DEFAULT:
            return next(iter(self._versions(name)), None)
        return self._world.state.get(KIND, f"{name}:{version}")

    def _versions(self, name: str) -> list[Document]:
        return newest_first(self._world.state.all(KIND, f"{name}:"))

    def _containers(self, call: Call) -> Reply:
        names = {document["key"] for document in self._world.state.all(KIND)} - {ANONYMOUS}
        shown = [self._described(name) for name in sorted(names)]
        return page(viewed(shown, call), call)

    def _container(self, call: Call) -> Reply:
        if not self._versions(call["name"]):
            raise not_found("Component", call["name"])
        return Reply(self._described(call["name"]))

    def _described(self, name: str) -> dict[str, Any]:
        versions = self._versions(name)
        told = versions[0]["properties"]
        more = {"description": told.get("description"), "tags": told.get("tags") or {}}
        return container(self._world, KIND, name, versions, **more)

    def _archive(self, call: Call) -> Reply:
        for one in archived(call, "Component", self._versions(call["name"])):
            self._world.state.put(KIND, f"{call['name']}:{one['name']}", one)
        return Reply(self._described(call["name"]))

    def _list(self, call: Call) -> Reply:
        return page(viewed(self._versions(call["name"]), call), call, shown=_shown)

    def _get(self, call: Call) -> Reply:
        found = self._find(call["name"], call["version"])
        if found is None:
            raise not_found("Component", f"{call['name']}:{call['version']}")
        return Reply(_shown(found))

    def _put(self, call: Call) -> Reply:
        name, version = call["name"], call["version"]
        properties = body_of(call.body)["properties"]
        check_tags(properties.get("tags") or {})
        check_name("component", name, version)
        spec = properties.get("componentSpec")
        if not isinstance(spec, dict) or not spec.get("type"):
            raise bad_request(f"component {name}:{version} has no 'componentSpec' with a 'type'", "ValidationError")
        known = self._world.state.get(KIND, f"{name}:{version}")
        before = known["properties"]["componentSpec"] if known else {}
        if known is None:
            self._check(name, spec)
        elif not is_same(before, {"version": version, **spec}, _settled({**before, **spec})):
            raise bad_request(f"component {name}:{version} exists and is another one", "ImmutableProperty")
        created = known["systemData"] if known else self._world.system_data(self._world.clock.now())
        document: Document = self._world.resource(
            f"components/{name}/versions",
            version,
            {**properties, "componentSpec": {"version": version, **spec}, "provisioningState": "Succeeded"},
            systemData=created,
        )
        document["key"] = name
        self._world.state.put(KIND, f"{name}:{version}", document)
        return Reply(_shown(document), 200 if known else 201)

    def _check(self, name: str, spec: dict[str, Any]) -> None:
        kind = str(spec["type"])
        if kind not in EMULATED:
            raise WireError(501, "EmulatorUnhandled", f"not emulated: components of the type {kind!r}")
        if kind == "command":
            if not str(spec.get("command") or "").strip():
                raise bad_request(f"component {name} has no 'command'", "ValidationError")
            self._check_environment(str(spec.get("environment") or ""))


def _settled(spec: Iterable[str]) -> set[str]:
    """Return the members of a specification that stay as they are; a client's notes to itself begin with '_'."""
    return {name for name in spec if name not in DESCRIBING and not name.startswith("_")}


def _shown(document: Document) -> Document:
    """Return a version without what the emulator alone wants to know of it."""
    return {name: value for name, value in document.items() if name != "key"}
