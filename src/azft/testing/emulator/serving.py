"""The servers behind deployments, one process each: the local backend's, a scoring script's, or MLflow's functions.

A scripted model answers from here.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import httpx
import orjson
from attrs import field, frozen

from azft.backends.local.endpoints import ANSWER_WITHIN, LocalEndpoints
from azft.domain.resource import Endpoint, RegisteredModel
from azft.errors import BackendError
from azft.processes import end_sessions
from azft.testing.emulator.commands.processes import environment_of
from azft.testing.emulator.scoring_server import READY, SCRIPT
from azft.testing.emulator.wire import Reply
from azft.testing.emulator.world import World
from azft.variables import QUIET, allowed, sharing
from azft.waiting import wait_until

CHAT, SCRIPTED = "chat", "scripted"
SCRIPTED_ANSWER = "This is the scripted answer."
STARTS_WITHIN = 120.0
GRACE = 5.0
MODEL_ERROR = 424
"""What an endpoint answers where its container does not answer with 200 (how-to-troubleshoot-online-endpoints)."""


@frozen
class Served:
    """What a deployment serves and how: "chat", "mlflow", "script", "scripted", or nothing where it cannot be.

    `folder` has the model, and `base` is the name of the folder or file that it was registered from; `script` is the
    scoring script, with the `variables` that it is told.
    """

    kind: str
    folder: Path
    base: str = ""
    script: Path | None = None
    variables: Mapping[str, str] = field(factory=dict)


class Servers:
    """Server processes by deployment; they end with the emulator and start again when they are asked.

    `given` returns the variables by which a script reaches the emulated services.
    """

    def __init__(self, world: World, sockets: Path, given: Callable[[], Mapping[str, str]] = dict) -> None:
        self._world = world
        self._sockets = sockets
        self._given = given
        self._local = LocalEndpoints(world.local.home)
        self._running: dict[str, Endpoint] = {}
        self._containers: dict[str, _Container] = {}
        self._lock = threading.Lock()
        self._client = httpx.Client(trust_env=False, timeout=ANSWER_WITHIN)
        self._failures: dict[str, str] = {}
        self._next_failure = ""
        self._broken: dict[str, str] = {}

    def fail_next(self, log: str) -> None:
        """Let the next deployment fail, with these words in its log."""
        self._next_failure = log

    def fail(self, key: str, log: str) -> None:
        """Let the deployment of that key fail whenever it is started, with these words in its log."""
        self._broken[key] = log

    def start(self, key: str, served: Served) -> None:
        """Start the server of a deployment and return once it answers; `BackendError` if it never does."""
        with self._lock:
            failure, self._next_failure = self._next_failure or self._broken.get(key, ""), ""
            if failure:
                self._failures[key] = failure
                raise BackendError("the container exited before it was ready")
            self._failures.pop(key, None)
            if served.kind == SCRIPTED or key in self._running or key in self._containers:
                return
            if served.kind == CHAT:
                model = RegisteredModel(key.replace("/", "-"), "1", "", "local")
                name = f"served-{uuid.uuid4().hex[:12]}"
                try:
                    self._running[key] = self._local.serve(served.folder / "model", model, name)
                except BackendError as error:
                    self._failures[key] = str(error)
                    raise
                return
            container = _Container(served, self._sockets / f"{uuid.uuid4().hex[:12]}.sock", self._given())
            try:
                container.start()
            except BackendError:
                self._failures[key] = container.log()
                container.stop()
                raise
            self._containers[key] = container

    def stop(self, key: str) -> None:
        """End the server of a deployment; one that does not run is fine."""
        with self._lock:
            endpoint, container = self._running.pop(key, None), self._containers.pop(key, None)
            self._broken.pop(key, None)
        if endpoint is not None:
            self._local.delete(endpoint.name)
        if container is not None:
            container.stop()

    def close(self) -> None:
        """End every server."""
        for key in [*self._running, *self._containers]:
            self.stop(key)
        self._client.close()

    def log(self, key: str) -> str:
        """Return what the server wrote."""
        if key in self._containers:
            return self._containers[key].log()
        endpoint = self._running.get(key)
        path = None if endpoint is None else self._world.local.home.endpoint(endpoint.name) / "server.log"
        written = path.read_text(errors="replace") if path is not None and path.exists() else ""
        return self._failures.get(key, "") or written or f"{key}: ready\n"

    def ask(self, key: str, served: Callable[[], Served], path: str, body: Any) -> Reply:
        """Hand a request to the server and return its answer; one that does not run is started."""
        if key not in self._containers and key not in self._running:
            wanted = served()
            if wanted.kind == SCRIPTED:
                return _scripted(path, body)
            self.start(key, wanted)
        if key in self._containers:
            return self._containers[key].ask(path, body)
        endpoint = self._running[key]
        answer = self._client.post(endpoint.url + path, json=body, headers={"Authorization": f"Bearer {endpoint.key}"})
        kind = answer.headers.get("content-type", "application/json")
        return Reply(answer.content, answer.status_code, {"Content-Type": kind})


class _Container:
    """One process that serves a script or an MLflow model, with the interpreter and the rights of this one."""

    def __init__(self, served: Served, socket_file: Path, given: Mapping[str, str]) -> None:
        self._served = served
        self._socket_file = socket_file
        self._given = given
        self._log = socket_file.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_file)), timeout=ANSWER_WITHIN)

    def start(self) -> None:
        served = self._served
        base = environment_of(allowed(os.environ), self._given)
        with self._log.open("ab") as output:
            self._process = process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "azft.testing.emulator.scoring_server",
                    served.kind,
                    str(served.script or served.folder),
                    str(self._socket_file),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=served.script.parent if served.kind == SCRIPT and served.script else served.folder,
                env=sharing({**base, **QUIET, **served.variables}),
                start_new_session=True,
            )
        wait_until(lambda: process.poll() is not None or self._socket_file.exists(), STARTS_WITHIN)
        if process.poll() is not None or not self._socket_file.exists():
            raise BackendError("the container exited before it was ready")

    def ask(self, path: str, body: Any) -> Reply:
        """Hand a request to the script; an answer other than 200 is one of the endpoint's own, as Azure gives it."""
        text = body.encode() if isinstance(body, str) else b"" if body is None else orjson.dumps(body)
        try:
            answer = self._client.post(f"http://localhost{path}", content=text)
        except httpx.HTTPError as error:
            raise BackendError(f"the container does not answer: {error}") from error
        kind = answer.headers.get("content-type", "application/json")
        if answer.is_success:
            return Reply(answer.content, answer.status_code, {"Content-Type": kind})
        told = {"ms-azureml-model-error-statuscode": str(answer.status_code)}
        return Reply(answer.content, MODEL_ERROR, {"Content-Type": kind, **told})

    def log(self) -> str:
        """Return what the process wrote."""
        text = self._log.read_text(encoding="utf-8", errors="replace") if self._log.exists() else ""
        return text.replace(f"{READY}\n", "", 1) or f"{READY}\n"

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            end_sessions([self._process], GRACE)
        self._client.close()
        self._socket_file.unlink(missing_ok=True)


def prepared(served: Served, code: Path, script: str, variables: Mapping[str, str], places: Path) -> Served:
    """Return a deployment with a scoring script: its model lies where the script looks for it.

    A model that was registered from a folder keeps the folder's name below `AZUREML_MODEL_DIR`, a file lies in it.
    """
    target = places / "azureml-models"
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir(parents=True)
    if served.folder.is_dir():
        shutil.copytree(served.folder, target / (served.base or "model"))
    elif served.folder.exists():
        shutil.copyfile(served.folder, target / served.folder.name)
    told = {"AZUREML_MODEL_DIR": str(target), **variables}
    return Served(SCRIPT, served.folder, served.base, code / script, told)


def _scripted(path: str, body: Any) -> Reply:
    if path == "/score":
        given = (body or {}).get("input_data", {}).get("input_string")
        nested = isinstance(given, list) and bool(given) and isinstance(given[0], list)
        answer = {"output": SCRIPTED_ANSWER}
        return Reply([answer] * len(given) if nested and isinstance(given, list) else answer)
    message = {"role": "assistant", "content": SCRIPTED_ANSWER}
    return Reply({"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
