"""Endpoints as server processes on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import urllib.error
import urllib.request
import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson
from filelock import FileLock, Timeout

from azft.backends.local.home import Home
from azft.backends.local.launch import start_detached, wait_until
from azft.backends.local.tracking import Tracking
from azft.domain.resource import Endpoint, RegisteredModel
from azft.errors import AuthenticationError, BackendError, ConfigurationError

LOCKED_WITHIN = 30.0
"""Seconds until the server's process has the endpoint's lock."""
READY_WITHIN = 120.0
"""Seconds a server may take to load its model."""
ANSWER_WITHIN = 180.0


class LocalEndpoints:
    """The endpoint service of this machine."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def deploy(self, model: RegisteredModel, name: str = "", *, port: int = 0) -> Endpoint:
        """Start a server for the model and return once it answers; `port` 0 picks a free one."""
        return self.serve(Tracking(self._home).folder_of(model) / "model", model, name, port=port)

    def serve(self, weights: Path, model: RegisteredModel, name: str = "", *, port: int = 0) -> Endpoint:
        """Start a server for weights in a folder, whichever registry they are registered in."""
        name = name or f"endpoint-{uuid.uuid4().hex[:8]}"
        folder = self._home.endpoint(name)
        if folder.exists():
            raise ConfigurationError(f"there is an endpoint {name!r} already", hint="choose another name")
        folder.mkdir(parents=True)
        key = secrets.token_urlsafe(32)
        with ExitStack() as undo:
            undo.callback(self.delete, name)
            start_detached(
                "azft.backends.local.scoring.server",
                [folder, weights, f"{model.name}:{model.version}", port],
                folder / "server.log",
                environment={"AZFT_ENDPOINT_KEY": key},
            )
            address = f"http://127.0.0.1:{_wait_for_port(name, folder)}"
            undo.pop_all()
        return Endpoint(name, address, model, key)

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a conversation."""
        body = orjson.dumps({"messages": [dict(message) for message in messages], **settings})
        request = urllib.request.Request(
            f"{endpoint.url}/v1/chat/completions",
            data=body,
            headers={"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_WITHIN) as reply:
                answer: str = orjson.loads(reply.read())["choices"][0]["message"]["content"]
                return answer
        except urllib.error.HTTPError as error:
            with error:
                reason = orjson.loads(error.read())["error"]["message"]
            kind = AuthenticationError if error.code == HTTPStatus.UNAUTHORIZED else BackendError
            raise kind(f"endpoint {endpoint.name!r} answered {error.code}: {reason}") from None
        except urllib.error.URLError as error:
            raise BackendError(f"endpoint {endpoint.name!r} does not answer: {error.reason}") from error

    def delete(self, name: str) -> None:
        """End the server and remove its folder; one that is gone is fine."""
        folder = self._home.endpoint(name)
        ready = folder / "ready.json"
        if _alive(folder) and ready.exists():
            pid = int(orjson.loads(ready.read_bytes())["pid"])
            os.kill(pid, signal.SIGTERM)
            if not wait_until(lambda: not _alive(folder), 10):
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda: not _alive(folder), 10)
        shutil.rmtree(folder, ignore_errors=True)


def _wait_for_port(name: str, folder: Path) -> int:
    """Return the port once the server answers; `BackendError` with the reason it gave if it never does."""
    ready, failure = folder / "ready.json", folder / "failure.txt"
    wait_until(lambda: _alive(folder) or failure.exists(), LOCKED_WITHIN)
    wait_until(lambda: ready.exists() or failure.exists() or not _alive(folder), READY_WITHIN)
    if ready.exists():
        return int(orjson.loads(ready.read_bytes())["port"])
    said = failure if failure.exists() else folder / "server.log"
    reason = said.read_text(errors="replace")[-500:].strip()
    raise BackendError(f"endpoint {name!r} did not start: {reason}", hint="port=0 picks a free port")


def _alive(folder: Path) -> bool:
    """Whether a server holds the endpoint's lock; it goes with the process, so a process id is never mistaken."""
    if not folder.exists():
        return False
    try:
        with FileLock(folder / "server.lock").acquire(timeout=0):
            return False
    except Timeout:
        return True
