"""Artifacts of runs over the wire: where they lie in storage, and what MLflow's own server has of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from azft.testing.emulator.wire import DATA_PLANE, WORKSPACE, Call, Operation, Reply, bad_request, not_found
from azft.testing.emulator.world import CONTAINER, World

Folders = Callable[[str], Mapping[str, Path]]
"""From a run's id to the folders that MLflow keeps of it here, by their place among its artifacts: "" is the top."""
RUNS = "ExperimentRun"
UPLOADED = "azureml://artifacts/"
"""What the addresses of artifacts begin with that are no run's (azureml-mlflow, model_registry)."""
_LOGGED = re.compile(r"models:/(m-[0-9a-f]{32})")
_ADDRESS = re.compile(r"azureml://[^/]+/mlflow/v[^/]+/.*/experiments/[^/]+/runs/([^/]+)/artifacts/?(.*)")


def address_of(world: World, run: str) -> str:
    """Return the address of a run's artifacts, in the form that Azure gives MLflow; nobody reads the experiment."""
    return f"azureml://{world.host}/mlflow/v2.0{world.id}/experiments/Default/runs/{run}/artifacts"


class RunArtifacts:
    """What runs have logged and clients have uploaded, as `ORIGIN/CONTAINER/PATH` in the workspace's storage.

    A run's lie in `ExperimentRun/dcid.RUN`.
    """

    def __init__(self, world: World, folders: Folders) -> None:
        self._world = world
        self._folders = folders

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        note = "for clients of MLflow 2: the plugin of MLflow 3 cannot read such addresses (azure-sdk-for-python 43661)"
        runs = "/history/v1.0" + WORKSPACE + "/experiments/{experiment}/runs/{run}/artifacts"
        others = "/artifact/v2.0" + WORKSPACE + "/artifacts/{origin}/{container}"
        handlers = (("GET", "", self._list), ("GET", "/contentinfo", self._content))
        made = "/batch/metadata"
        return [
            Operation(method, DATA_PLANE, base + path, handler, "SDK source", note=note)
            for base in (runs, others)
            for method, path, handler in (*handlers, ("POST", made, self._create))
        ]

    def path(self, run: str, artifact: str = "") -> str:
        """Return where an artifact of a run lies in storage, after MLflow's own files have been put there."""
        top = f"{RUNS}/dcid.{run}"
        blobs = self._world.blobs
        for inside, folder in self._folders(run).items():
            for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                name = "/".join(filter(None, [top, inside, file.relative_to(folder).as_posix()]))
                known, now = blobs.get(CONTAINER, name), file.stat()
                if known is None or known.size != now.st_size or known.modified < now.st_mtime:
                    blobs.take(CONTAINER, name, file)
        return "/".join(filter(None, [top, artifact.strip("/")]))

    def path_of(self, address: str) -> str:
        """Return where what an address of artifacts means lies in storage, or nothing for another address."""
        if address.startswith(UPLOADED):
            return address.removeprefix(UPLOADED)
        if found := _LOGGED.fullmatch(address):
            return self.path(found[1])
        found = _ADDRESS.fullmatch(address)
        return self.path(found[1], found[2]) if found else ""

    def _top(self, call: Call) -> str:
        if "run" in call.parameters:
            return self.path(call["run"])
        return f"{call['origin']}/{call['container']}"

    def _list(self, call: Call) -> Reply:
        top = self._top(call)
        names = self._world.blobs.names(CONTAINER, f"{top}/")
        return Reply({"value": [_described(top, name.removeprefix(f"{top}/")) for name in names]})

    def _content(self, call: Call) -> Reply:
        top, wanted = self._top(call), call.query.get("path", "")
        if self._world.blobs.get(CONTAINER, f"{top}/{wanted}") is None:
            raise not_found("Artifact", wanted)
        return Reply(self._place(top, wanted))

    def _create(self, call: Call) -> Reply:
        top = self._top(call)
        wanted = [str(entry["path"]) for entry in call.body["paths"]]
        if not all(path and ".." not in path.split("/") for path in wanted):
            raise bad_request("an artifact has no path, or one that leaves its container")
        return Reply(
            {
                "artifacts": {path: _described(top, path) for path in wanted},
                "artifactContentInformation": {path: self._place(top, path) for path in wanted},
                "errors": {},
            }
        )

    def _place(self, top: str, path: str) -> dict[str, Any]:
        return {**_described(top, path), "contentUri": self._world.blob_url(f"{top}/{path}")}


def _described(top: str, path: str) -> dict[str, Any]:
    origin, _, container = top.partition("/")
    return {"artifactId": f"{top}/{path}", "origin": origin, "container": container, "path": path}
