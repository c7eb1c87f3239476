"""The workspace's models and data assets: versions that point into storage."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from azft.snapshot import RegistryVersion
from azft.testing.emulator.commands.jobs import REGISTRY_MODEL
from azft.testing.emulator.jobs import Jobs, output_names
from azft.testing.emulator.named_outputs import NamedOutput
from azft.testing.emulator.router import merged
from azft.testing.emulator.scoring_server import MLFLOW
from azft.testing.emulator.services.versions import archived, check_name, container, newest_first, next_number
from azft.testing.emulator.serving import CHAT, SCRIPTED, Served
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
    tagged,
    viewed,
)
from azft.testing.emulator.world import CONTAINER, DATASTORES, World, folder_for, is_elsewhere, path_of, store_of

_OUTPUT = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)/?(?:paths/)?")
ARTIFACTS = "artifacts"
"""What addresses call the output that holds what a run has logged."""
_ASSET = re.compile(r".*/workspaces/[^/]+/models/([^/]+)/versions/([^/]+)|azureml:([^:]+):([^:]+)", re.IGNORECASE)
_SCRIPTED_FLAVORS = {"python_function": {"data": {"loader_module": "mlflow.transformers"}}}
"""Of a model that names none: one of a script, and of files that are no MLflow model, where nobody reads them."""
TAKEN = (
    "A {kind} version with this name and version already exists. If you are trying to create a new {kind} version, "
    "use a different name or version. If you are trying to update an existing {kind} version, the existing asset's "
    "{key} cannot be changed. Only tags, description, and isArchived can be updated."
)
"""What the service says of another path under a version that is there (of data; the SDK looks for "already exists")."""
_WORDS = {"modelUri": "model uri", "dataUri": "data uri"}
_OWN = ("key", "created", "mlflow")
"""What the emulator alone wants to know of a version."""


class Assets:
    """Versioned assets of one kind, "models" or "data"; `logged` is where an artifact of a run lies in storage."""

    def __init__(
        self,
        world: World,
        jobs: Jobs,
        kind: str,
        logged: Callable[[str, str], str],
        find_model: Callable[[str, str, str], RegistryVersion | None] = lambda _registry, _name, _version: None,
    ) -> None:
        self._world = world
        self._find_model = find_model
        self._jobs = jobs
        self._kind = kind
        self._where = "modelUri" if kind == "models" else "dataUri"
        self._logged = logged

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = f"{WORKSPACE}/{self._kind}"
        version = base + "/{name}/versions/{version}"
        said = "the container's latest version follows from its versions"
        return [
            arm("GET", base, self._containers, "REST specification", note=said),
            arm("GET", base + "/{name}", self._container, note=said),
            arm("PUT", base + "/{name}", self._archive, note="archives or restores every version"),
            arm("GET", base + "/{name}/versions", self._list),
            arm("GET", version, self._get),
            arm("PUT", version, self._put, note="an output of a job that has not completed is refused (inferred)"),
            arm("DELETE", version, self._delete, "REST specification"),
        ]

    def model_of(self, asset: str) -> Served:
        """Return what a model's id means and how it is served, if it can be.

        A folder of azft's own, with weights of a chat model, is answered by the local server, every other MLflow model
        by MLflow's own functions, and a scripted one answers for itself. One of a registry is answered by the local
        server from the weights that were given for it.
        """
        if not asset:
            said = "not emulated: an image that serves without a model and without a scoring script"
            raise WireError(501, "EmulatorUnhandled", said)
        if registered := REGISTRY_MODEL.fullmatch(asset):
            return self._of_registry(asset, *registered.groups())
        found = _ASSET.fullmatch(asset)
        document = self.find(found[1] or found[3], found[2] or found[4]) if found else None
        if document is None:
            raise bad_request(f"model {asset} does not exist")
        place, base = self.folder(document)
        if (place / "model" / "config.json").is_file():
            return Served(CHAT, place, base)
        described = place / "MLmodel"
        if not described.is_file():
            return Served("", place, base)
        return Served(SCRIPTED if b"scripted: true" in described.read_bytes() else MLFLOW, place, base)

    def _of_registry(self, asset: str, registry: str, name: str, version: str) -> Served:
        model = self._find_model(registry, name, version)
        if model is None:
            raise bad_request(f"model {asset} does not exist")
        if not model.weights:
            said = f"not emulated: the weights of {asset}; give the emulator's model a folder of them (weights=)"
            raise WireError(501, "EmulatorUnhandled", said)
        place = folder_for(self._world.state.folder, f"served/{registry}-{name}-{version}")
        if not (place / "model").exists():
            (place / "model").symlink_to(Path(model.weights).absolute(), target_is_directory=True)
        return Served(CHAT, place, name)

    def find(self, name: str, version: str) -> Document | None:
        """Return a version, or None."""
        self._jobs.outputs.settle()
        return self._world.state.get(self._kind, f"{name}:{version}")

    def names(self) -> list[str]:
        """Return the names that have a version."""
        self._jobs.outputs.settle()
        return list(dict.fromkeys(str(document["key"]) for document in self._world.state.all(self._kind)))

    def versions(self, name: str) -> list[Document]:
        """Return the versions of a name, newest first."""
        self._jobs.outputs.settle()
        return newest_first(self._world.state.all(self._kind, f"{name}:"))

    def folder(self, document: Document) -> tuple[Path, str]:
        """Return a version's files in a folder on this machine, or its one file, and the last part of its path."""
        path = path_of(str(document["properties"].get("modelUri") or "")).rstrip("/")
        # A version that was deleted and made again may have other files.
        once = int(float(document.get("created", 0.0)) * 1000)
        target = folder_for(self._world.state.folder, f"served/{document['name']}-{document['key']}-{once}")
        return self._world.blobs.link(CONTAINER, path, target), path.rpartition("/")[2]

    def remove(self, name: str, version: str) -> bool:
        """Forget a version and return whether there was one."""
        return self._world.state.delete(self._kind, f"{name}:{version}")

    def store(self, document: Document) -> None:
        """Keep a version as it is."""
        self._world.state.put(self._kind, f"{document['key']}:{document['name']}", document)

    def keep_output(self, output: NamedOutput, job: str, path: str) -> None:
        """Keep what a job has put out under the name that was given for it, as its next version without one."""
        version = output.version or str(next_number(self.versions(output.name)))
        uri = self._world.store_uri(path + ("" if output.type == "uri_file" else "/"))
        known = self.find(output.name, version)
        if known is not None and known["properties"][self._where] != uri:
            raise bad_request(f"{output.name}:{version} is there, and is not what {job} has put out")
        told = {"modelType": output.type, "jobName": job} if self._kind == "models" else {"dataType": output.type}
        self.keep(output.name, version, {self._where: uri, **told})

    def keep(self, name: str, version: str, properties: Mapping[str, Any], **more: Any) -> Document:
        """Keep a version that points at a path of the store, over what is known of it, and return it."""
        known = self.find(name, version)
        added: dict[str, Any] = {"provisioningState": "Succeeded"}
        if self._kind == "models":
            given = properties.get("flavors") or self._flavors(str(properties["modelUri"]))
            kind = properties.get("modelType") or ("mlflow_model" if given else "custom_model")
            added |= {"flavors": given or _SCRIPTED_FLAVORS, "modelType": kind}
        now = self._world.clock.now()
        document = self._world.resource(f"{self._kind}/{name}/versions", version, {**properties, **added}, **more)
        document |= {
            "key": name,
            "created": known.get("created", now) if known else now,
            "systemData": known["systemData"] if known else self._world.system_data(now),
        }
        kept: Document = merged(known or {}, document)
        if "tags" in properties:
            kept["properties"]["tags"] = dict(properties["tags"] or {})  # A PUT says all of them.
        self.store(kept)
        return kept

    def _flavors(self, uri: str) -> dict[str, Any]:
        """Return the flavors that an MLflow model names, none of another model."""
        described = f"{path_of(uri).rstrip('/')}/MLmodel"
        if self._world.blobs.get(CONTAINER, described) is None:
            return {}
        found = yaml.safe_load(self._world.blobs.path(CONTAINER, described).read_bytes())
        flavors = found.get("flavors") if isinstance(found, dict) else None
        return {
            str(name): {"data": {str(key): str(value) for key, value in (data or {}).items()}}
            for name, data in (flavors.items() if isinstance(flavors, dict) else ())
        }

    def _containers(self, call: Call) -> Reply:
        return page(viewed([self._described_container(name) for name in self.names()], call), call)

    def _container(self, call: Call) -> Reply:
        if not self.versions(call["name"]):
            raise not_found(self._kind, call["name"])
        return Reply(self._described_container(call["name"]))

    def _described_container(self, name: str) -> dict[str, Any]:
        versions = self.versions(name)
        kind = {"dataType": versions[0]["properties"].get("dataType", "uri_file")} if self._kind == "data" else {}
        return container(self._world, self._kind, name, versions, **kind)

    def _archive(self, call: Call) -> Reply:
        for one in archived(call, self._kind, self.versions(call["name"])):
            self.store(one)
        return Reply(self._described_container(call["name"]))

    def _list(self, call: Call) -> Reply:
        found = tagged(viewed(self.versions(call["name"]), call), call.query.get("tags", ""))
        stage = call.query.get("stage", "")
        return page([one for one in found if stage in ("", one["properties"].get("stage"))], call, shown=_shown)

    def _get(self, call: Call) -> Reply:
        found = self.find(call["name"], call["version"])
        if found is None:
            raise not_found(self._kind, f"{call['name']}:{call['version']}")
        return Reply(_shown(found))

    def _put(self, call: Call) -> Reply:
        name, version = call["name"], call["version"]
        properties = body_of(call.body)["properties"]
        check_tags(properties.get("tags") or {})
        check_name(self._kind, name, version)
        known = self.find(name, version)
        uri = self._resolved(str(properties.get(self._where, "")))
        if known is not None and uri != known["properties"][self._where]:
            raise bad_request(TAKEN.format(kind=self._kind.removesuffix("s"), key=_WORDS[self._where]))
        added: dict[str, Any] = {self._where: uri}
        if self._kind == "models":
            source = _OUTPUT.match(str(properties.get(self._where, "")))
            added["jobName"] = source[1] if source else properties.get("jobName")
        document = self.keep(name, version, {**properties, **added})
        return Reply(_shown(document), 200 if known else 201)

    def _delete(self, call: Call) -> Reply:
        if not self.remove(call["name"], call["version"]):
            return Reply(None, 204)
        return Reply(None, 200)

    def _resolved(self, uri: str) -> str:
        found = _OUTPUT.match(uri)
        if found and found[2] == ARTIFACTS:
            logged = self._logged(found[1], uri[found.end() :].strip("/"))
            if not self._world.blobs.names(CONTAINER, logged):
                raise bad_request(f"{uri}: run {found[1]} has logged nothing there")
            return self._world.store_uri(logged + "/")
        if found:
            job = self._jobs.get(found[1])
            if found[2] not in output_names(job["properties"]):
                raise bad_request(f"{uri}: job {found[1]} has no output {found[2]!r}")
            if self._jobs.story(job).status != "Completed":
                raise bad_request(f"{uri}: job {found[1]} has not completed, so the output does not exist")
            return self._world.store_uri(self._jobs.output_path(found[1], found[2]) + "/")
        if self._kind == "data" and is_elsewhere(uri):
            if (store := store_of(uri)) and self._world.state.get(DATASTORES, store) is None:
                raise bad_request(f"{uri}: datastore {store} does not exist")
            return uri  # It is taken as it is: nobody looks at it before a job reads it.
        path = path_of(uri)
        later = self._kind == "data" and path  # Somebody may write it later: nobody looks at it before a job reads it.
        if not later and not (path and self._world.blobs.names(CONTAINER, path.rstrip("/"))):
            raise bad_request(f"nothing at {uri or 'no address'}")
        return self._world.store_uri(path)


def _shown(document: Document) -> Document:
    """Return a version without what the emulator alone wants to know of it."""
    return {name: value for name, value in document.items() if name not in _OWN}
