"""Command jobs of the workspace: begun, followed, canceled, and their machines taken away."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from azft.backends.local.launch import ending, start_detached
from azft.domain.jsonable import to_json
from azft.domain.run import RunStatus
from azft.files import write_whole
from azft.processes import is_alive
from azft.snapshot import RegistryVersion
from azft.testing.emulator.commands import progress
from azft.testing.emulator.commands.order import Given, Order, order_of
from azft.testing.emulator.commands.progress import CANCEL, FAIL, LOGS, ORDER, PREEMPT, RESTART, Progress
from azft.testing.emulator.state import Document
from azft.testing.emulator.story import AZURE, Story, clock
from azft.testing.emulator.wire import WireError, bad_request
from azft.testing.emulator.world import PROVIDED, World, code_place, is_elsewhere, path_of

CODES = "codes"
_CODE = re.compile(r".*/codes/([^/]+)/versions/([^/]+)", re.IGNORECASE)
_ASSET = re.compile(
    r".*/workspaces/[^/]+/(data|models)/([^/]+)/versions/([^/]+)|azureml:([^:/]+):([^:/]+)", re.IGNORECASE
)
_OUTPUT = re.compile(r"azureml://jobs/([^/]+)/outputs/([^/]+)/?(?:paths/(.*))?")
REGISTRY_MODEL = re.compile(r"azureml://registries/([^/]+)/models/([^/]+)/versions/([^/]+)")
_LOST = "The job's process is gone: the machine that it ran on was stopped."


class CommandJobs:
    """Runs the command of each job in processes of this machine, with the interpreter and the rights of this one.

    `given` returns the variables by which a job reaches the emulated services.
    """

    def __init__(
        self,
        world: World,
        find_model: Callable[[str, str, str], RegistryVersion | None],
        output_path: Callable[[str, str], str],
        given: Callable[[], Mapping[str, str]],
    ) -> None:
        self._world = world
        self._find_model = find_model
        self._output_path = output_path
        self._given = given

    def order(self, name: str, properties: Mapping[str, Any]) -> Order:
        """Return what a job's properties ask for; the service's refusal of what cannot be."""
        return order_of(name, properties, code=self._code, place=self._place)

    def begin(self, name: str, properties: Mapping[str, Any], root: str = "") -> None:
        """Start the job in a process that outlives this one; `root` is the job that it is a step of."""
        order = self.order(name, properties)
        folder = self.folder(name)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        write_whole(folder / ORDER, to_json(order))
        secrets = {**self._given(), **self._of_run(name, properties, root)}
        start_detached(
            "azft.testing.emulator.commands.runner",
            [folder, self._world.state.folder / "storage"],
            folder / "runner.log",
            secrets=secrets,
        )

    def folder(self, name: str) -> Path:
        """Return where a job's files are."""
        return self._world.state.folder / "commands" / name

    def progress(self, document: Document) -> Progress:
        """Return where a job stands; one whose runner is gone has failed."""
        folder = self.folder(document["name"])
        found = progress.read(folder)
        gone = not is_alive(found.process, found.since) if found.process else ending(folder) is not None
        if gone and not found.ended:
            found = progress.read(folder)
            if not found.ended:
                now = self._world.clock.now()
                found = evolve(found, status=RunStatus.FAILED, ended=now, error=_LOST)
        return found

    def story(self, document: Document) -> Story:
        """Return what the job has told so far; it has no steps."""
        found = self.progress(document)
        status = AZURE[found.status]
        if document.get("canceled") is not None and not found.ended:
            status = "CancelRequested"
        log = "".join(f"[{clock(moment.time)}] {moment.text}\n" for moment in found.moments)
        return Story(status, found.begun or None, found.ended or None, (), log)

    def logs(self, document: Document) -> dict[str, str]:
        """Return what each process wrote, by the path that the service gives it."""
        files = sorted((self.folder(document["name"]) / LOGS).glob("*.txt"))
        return {f"user_logs/{path.name}": path.read_text(encoding="utf-8", errors="replace") for path in files}

    def cancel(self, name: str) -> None:
        """Ask the job to stop."""
        (self.folder(name) / CANCEL).touch()

    def preempt(self, name: str, *, restart: bool) -> None:
        """Take the machines of a job away; the service restarts it, or lets it fail."""
        (self.folder(name) / PREEMPT).write_text(RESTART if restart else FAIL, encoding="ascii")

    def forget(self, name: str) -> None:
        """Delete a job's files."""
        shutil.rmtree(self.folder(name), ignore_errors=True)

    def _of_run(self, name: str, properties: Mapping[str, Any], root: str) -> dict[str, str]:
        """Return the variables that tell a job which run it is (how-to-log-mlflow-models, azureml-mlflow)."""
        world, experiment = self._world, str(properties.get("experimentName") or "Default")
        return {
            "AZUREML_RUN_ID": name,
            "AZUREML_ROOT_RUN_ID": root or name,
            "AZUREML_EXPERIMENT_NAME": experiment,
            "AZUREML_ARM_SUBSCRIPTION": world.subscription,
            "AZUREML_ARM_RESOURCEGROUP": world.group,
            "AZUREML_ARM_WORKSPACE_NAME": world.workspace,
            "MLFLOW_TRACKING_URI": f"azureml://{world.host}/mlflow/v1.0{world.id}",
            "MLFLOW_RUN_ID": name,
            "MLFLOW_EXPERIMENT_NAME": experiment,
        }

    def _code(self, identity: str) -> str:
        return code_of(self._world, identity)

    def _place(self, name: str, given: Given) -> Given:
        uri = given.uri
        if found := REGISTRY_MODEL.fullmatch(uri):
            model = self._find_model(found[1], found[2], found[3])
            if model is None:
                raise bad_request(f"input {name!r}: model {uri} does not exist")
            if not model.weights:
                said = f"not emulated: the weights of {uri}; give the emulator's model a folder of them (weights=)"
                raise WireError(501, "EmulatorUnhandled", said)
            return evolve(given, folder=model.weights)
        if found := _OUTPUT.fullmatch(uri):
            path = f"{self._output_path(found[1], found[2])}/{found[3] or ''}".rstrip("/")
        elif found := _ASSET.fullmatch(uri):
            path = self._of_asset(uri, found)
        else:
            path = self._of_address(uri)
        if not path:
            said = f"not emulated: input {name!r} at {uri}: give the emulator what is there, provide(ADDRESS, PATH)"
            raise WireError(501, "EmulatorUnhandled", said)
        return evolve(given, path=path)

    def _of_address(self, uri: str) -> str:
        """Return the path in storage of an address: in the store itself, or what was provided for one elsewhere."""
        if not is_elsewhere(uri):
            return path_of(uri).rstrip("/")
        for known in self._world.state.all(PROVIDED):
            address = str(known["address"]).rstrip("/")
            if uri.rstrip("/") == address or uri.startswith(f"{address}/"):
                return str(known["path"]) + uri.rstrip("/").removeprefix(address)
        return ""

    def _of_asset(self, uri: str, found: re.Match[str]) -> str:
        kinds = [found[1]] if found[1] else ["data", "models"]
        for kind in kinds:
            document = self._world.state.get(kind, f"{found[2] or found[4]}:{found[3] or found[5]}")
            if document is not None:
                return self._of_address(str(document["properties"]["dataUri" if kind == "data" else "modelUri"]))
        raise bad_request(f"{uri} does not exist")


def code_of(world: World, identity: str) -> str:
    """Return where the snapshot that an id means lies in storage; the service's refusal where there is none."""
    found = _CODE.fullmatch(identity)
    document = world.state.get(CODES, f"{found[1]}:{found[2]}") if found else None
    if document is None:
        raise bad_request(f"code {identity} does not exist")
    return code_place(str(document["properties"]["codeUri"]))
