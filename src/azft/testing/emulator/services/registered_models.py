"""MLflow's model registry on the wire: it is the workspace's own, so MLflow and the SDK see the same models."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from azft.testing.emulator.router import merged
from azft.testing.emulator.services.models import Assets
from azft.testing.emulator.services.run_artifacts import UPLOADED, RunArtifacts
from azft.testing.emulator.services.tracking import local_path, reads_files
from azft.testing.emulator.services.versions import is_name, next_number
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import DATA_PLANE, WORKSPACE, Call, Operation, Reply
from azft.testing.emulator.world import CONTAINER, World, path_of

REGISTERED = "registered_models"
"""The kind of the documents of what was registered by name, with or without versions."""
STAGES = ("None", "Staging", "Production", "Archived")
_BASE = "/mlflow/v2.0" + WORKSPACE + "/api/2.0/mlflow"
_MOST = 1000


class RefusedError(Exception):
    """A refusal in MLflow's form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = Reply({"error_code": code, "message": message}, status)


class RegisteredModels:
    """Registered models and their versions as MLflow's REST API has them, over the workspace's models."""

    def __init__(self, world: World, models: Assets, artifacts: RunArtifacts) -> None:
        self._world = world
        self._models = models
        self._artifacts = artifacts

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        note = "the models of the workspace; aliases and new names are not emulated"

        def plain(method: str, path: str, handler: Callable[[Call], Reply]) -> Operation:
            return Operation(method, DATA_PLANE, f"{_BASE}/{path}", _answered(handler), "SDK source", note=note)

        return [
            plain("POST", "registered-models/create", self._create),
            plain("GET", "registered-models/get", self._get),
            plain("GET", "registered-models/search", self._search),
            plain("PATCH", "registered-models/update", self._update),
            plain("DELETE", "registered-models/delete", self._delete),
            plain("POST", "registered-models/set-tag", self._tag),
            plain("DELETE", "registered-models/delete-tag", self._untag),
            plain("POST", "registered-models/get-latest-versions", self._latest),
            plain("GET", "registered-models/get-latest-versions", self._latest),
            plain("POST", "model-versions/create", self._create_version),
            plain("GET", "model-versions/get", self._get_version),
            plain("GET", "model-versions/search", self._search_versions),
            plain("PATCH", "model-versions/update", self._update_version),
            plain("DELETE", "model-versions/delete", self._delete_version),
            plain("POST", "model-versions/set-tag", self._tag_version),
            plain("DELETE", "model-versions/delete-tag", self._untag_version),
            plain("POST", "model-versions/transition-stage", self._stage),
            plain("GET", "model-versions/get-download-uri", self._address),
            *(
                plain(method, f"registered-models/{what}", _not_emulated)
                for method, what in (("POST", "alias"), ("GET", "alias"), ("DELETE", "alias"), ("POST", "rename"))
            ),
        ]

    def _create(self, call: Call) -> Reply:
        body = _body(call)
        name = str(body.get("name") or "")
        if self._known(name) is not None:
            raise RefusedError(400, "RESOURCE_ALREADY_EXISTS", f"Registered Model (name={name}) already exists.")
        if not is_name(name):
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"Invalid model name: {name!r}")
        now = self._world.clock.now()
        document = {"name": name, "tags": _tags(body), "created": now, "updated": now}
        self._world.state.put(REGISTERED, name, {**document, "description": str(body.get("description") or "")})
        return self._shown(name)

    def _known(self, name: str) -> Document | None:
        """Return what is known of a name: what MLflow said of it, or what follows from versions that the SDK made."""
        found = self._world.state.get(REGISTERED, name)
        versions = self._models.versions(name)
        if found is not None or not versions:
            return found
        first = float(versions[-1].get("created", 0.0))
        return {"name": name, "tags": {}, "description": "", "created": first, "updated": first}

    def _of(self, name: str) -> Document:
        found = self._known(name)
        if found is None:
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", f"Registered Model with name={name} not found")
        return found

    def _shown(self, name: str) -> Reply:
        return Reply({"registered_model": self._model(self._of(name))})

    def _model(self, found: Document) -> dict[str, Any]:
        latest: dict[str, Document] = {}
        for version in self._models.versions(found["name"]):
            latest.setdefault(_stage_of(version), version)
        return {
            "name": found["name"],
            "creation_timestamp": int(found["created"] * 1000),
            "last_updated_timestamp": int(found["updated"] * 1000),
            "description": found["description"],
            "latest_versions": [self._version(version) for version in latest.values()],
            "tags": _pairs(found["tags"]),
        }

    def _version(self, found: Document) -> dict[str, Any]:
        properties, own = found["properties"], found.get("mlflow") or {}
        created = int(float(found.get("created", 0.0)) * 1000)
        return {
            "name": found["key"],
            "version": found["name"],
            "creation_timestamp": created,
            "last_updated_timestamp": int(float(own.get("updated", 0.0)) * 1000) or created,
            "current_stage": _stage_of(found),
            "description": properties.get("description") or "",
            "source": own.get("source") or properties["modelUri"],
            "run_id": own.get("run_id") or properties.get("jobName") or "",
            "status": "READY",
            "tags": _pairs(properties.get("tags") or {}),
        }

    def _get(self, call: Call) -> Reply:
        return self._shown(call.query.get("name", ""))

    def _search(self, call: Call) -> Reply:
        from mlflow.entities.model_registry import RegisteredModel, RegisteredModelTag
        from mlflow.utils.search_utils import SearchModelUtils

        names = {str(entry["name"]) for entry in self._world.state.all(REGISTERED)} | set(self._models.names())
        found = [self._of(name) for name in sorted(names)]
        entities = [
            RegisteredModel(one["name"], tags=[RegisteredModelTag(*pair) for pair in one["tags"].items()])
            for one in found
        ]
        kept = {one.name for one in SearchModelUtils.filter(entities, call.query.get("filter") or None)}
        return _page(call, "registered_models", [self._model(one) for one in found if one["name"] in kept])

    def _update(self, call: Call) -> Reply:
        body = _body(call)
        return self._changed(str(body.get("name")), description=str(body.get("description") or ""))

    def _changed(self, name: str, **changes: Any) -> Reply:
        now = self._world.clock.now()
        self._world.state.put(REGISTERED, name, {**self._of(name), **changes, "updated": now})
        return self._shown(name)

    def _delete(self, call: Call) -> Reply:
        name = str(_body(call).get("name"))
        self._of(name)
        for version in self._models.versions(name):
            self._models.remove(name, version["name"])
        self._world.state.delete(REGISTERED, name)
        return Reply({})

    def _tag(self, call: Call) -> Reply:
        body = _body(call)
        name = str(body.get("name"))
        self._changed(name, tags={**self._of(name)["tags"], str(body["key"]): str(body["value"])})
        return Reply({})

    def _untag(self, call: Call) -> Reply:
        body = _body(call)
        name = str(body.get("name"))
        tags = {key: value for key, value in self._of(name)["tags"].items() if key != body.get("key")}
        self._changed(name, tags=tags)
        return Reply({})

    def _latest(self, call: Call) -> Reply:
        body = _body(call)
        given = body.get("stages") or []
        stages = [given] if isinstance(given, str) else [str(stage) for stage in given]
        found = self._model(self._of(str(body.get("name"))))["latest_versions"]
        return Reply({"model_versions": [one for one in found if not stages or one["current_stage"] in stages]})

    def _create_version(self, call: Call) -> Reply:
        body = _body(call)
        name, source, run = (str(body.get(key) or "") for key in ("name", "source", "run_id"))
        self._of(name)
        version = str(next_number(self._models.versions(name)))
        path = self._path_of(source, f"azureml/registered/{name}/{uuid.uuid4().hex}")
        if not path:
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"Invalid model version source: {source!r}")
        now = self._world.clock.now()
        own = {"run_id": run, "source": source, "updated": now}
        described = {"description": body.get("description") or "", "tags": _tags(body)}
        made = self._models.keep(name, version, {**described, "modelUri": self._world.store_uri(path)}, mlflow=own)
        return Reply({"model_version": self._version(made)})

    def _one(self, name: str, version: str) -> Document:
        found = self._models.find(name, version)
        if found is None:
            said = f"Model Version (name={name}, version={version}) not found"
            raise RefusedError(404, "RESOURCE_DOES_NOT_EXIST", said)
        return found

    def _asked(self, call: Call) -> Document:
        body = _body(call)
        return self._one(str(body.get("name")), str(body.get("version")))

    def _kept(self, found: Document, **changes: Any) -> Reply:
        own = {"updated": self._world.clock.now(), **changes.pop("mlflow", {})}
        changed = merged(found, {**changes, "mlflow": own})
        self._models.store(changed)
        return Reply({"model_version": self._version(changed)})

    def _get_version(self, call: Call) -> Reply:
        return Reply({"model_version": self._version(self._asked(call))})

    def _search_versions(self, call: Call) -> Reply:
        from mlflow.entities.model_registry import ModelVersion, ModelVersionTag
        from mlflow.utils.search_utils import SearchModelVersionUtils

        found = [self._version(version) for name in self._models.names() for version in self._models.versions(name)]
        entities = [
            ModelVersion(
                one["name"],
                one["version"],
                one["creation_timestamp"],
                source=one["source"],
                run_id=one["run_id"],
                tags=[ModelVersionTag(tag["key"], tag["value"]) for tag in one["tags"]],
            )
            for one in found
        ]
        wanted = SearchModelVersionUtils.filter(entities, call.query.get("filter") or None)
        kept = {(one.name, one.version) for one in wanted}
        return _page(call, "model_versions", [one for one in found if (one["name"], one["version"]) in kept])

    def _update_version(self, call: Call) -> Reply:
        description = str(_body(call).get("description") or "")
        return self._kept(self._asked(call), properties={"description": description})

    def _delete_version(self, call: Call) -> Reply:
        found = self._asked(call)
        if self._world.state.get(REGISTERED, found["key"]) is None:
            self._world.state.put(REGISTERED, found["key"], self._of(found["key"]))
        self._models.remove(found["key"], found["name"])
        return Reply({})

    def _tag_version(self, call: Call) -> Reply:
        body = _body(call)
        self._kept(self._asked(call), properties={"tags": {str(body["key"]): str(body["value"])}})
        return Reply({})

    def _untag_version(self, call: Call) -> Reply:
        found = self._asked(call)
        tags = found["properties"].get("tags") or {}
        rest = {key: value for key, value in tags.items() if key != _body(call).get("key")}
        self._models.store({**found, "properties": {**found["properties"], "tags": rest}})
        return Reply({})

    def _stage(self, call: Call) -> Reply:
        body = _body(call)
        found = self._asked(call)
        known = {stage.lower(): stage for stage in STAGES}
        stage = known.get(str(body.get("stage", "")).lower())
        if stage is None:
            raise RefusedError(400, "INVALID_PARAMETER_VALUE", f"Invalid Model Version stage: {body.get('stage')}")
        if str(body.get("archive_existing_versions")).lower() == "true":
            for other in self._models.versions(found["key"]):
                if _stage_of(other) == stage and other["name"] != found["name"]:
                    self._kept(other, properties={"stage": "Archived"})
        return self._kept(found, properties={"stage": stage})

    def _address(self, call: Call) -> Reply:
        found = self._asked(call)
        source = str((found.get("mlflow") or {}).get("source") or "")
        if reads_files(call):
            return Reply({"artifact_uri": self._models.folder(found)[0].as_uri()})
        path = path_of(str(found["properties"]["modelUri"])).rstrip("/")
        return Reply({"artifact_uri": source if "/runs/" in source else f"{UPLOADED}{path}"})

    def _path_of(self, source: str, target: str) -> str:
        """Return where the files of a source lie in storage, after they were copied there if they lay elsewhere."""
        folder = local_path(source)
        mine = self._world.local.home.artifacts.resolve()
        if folder is not None and folder.resolve().is_relative_to(mine) and folder.is_dir():
            self._world.blobs.publish(CONTAINER, target, folder.resolve())
            return target + "/"
        path = (self._artifacts.path_of(source) or path_of(source)).rstrip("/")
        return path + "/" if path and self._world.blobs.names(CONTAINER, path + "/") else ""


def _answered(handler: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
    def answer(call: Call) -> Reply:
        from mlflow.exceptions import MlflowException

        try:
            return handler(call)
        except RefusedError as error:
            return error.reply
        except MlflowException as error:  # Of a filter that cannot be read.
            return Reply({"error_code": error.error_code, "message": error.message}, error.get_http_status_code())

    return answer


def _not_emulated(call: Call) -> Reply:
    raise RefusedError(501, "NOT_IMPLEMENTED", f"not emulated: {call.method} {call.path.partition('/api/2.0/')[2]}")


def _body(call: Call) -> Mapping[str, Any]:
    return call.body if isinstance(call.body, dict) else call.query


def _tags(body: Mapping[str, Any]) -> dict[str, str]:
    return {str(tag["key"]): str(tag["value"]) for tag in body.get("tags") or ()}


def _pairs(tags: Mapping[str, Any]) -> list[dict[str, str]]:
    return [{"key": key, "value": str(value)} for key, value in tags.items()]


def _stage_of(version: Document) -> str:
    return str(version["properties"].get("stage") or STAGES[0])


def _page(call: Call, name: str, found: list[dict[str, Any]]) -> Reply:
    begin, most = call.whole("page_token", 0), call.whole("max_results", _MOST)
    more = {"next_page_token": str(begin + most)} if begin + most < len(found) else {}
    return Reply({name: found[begin : begin + most], **more})
