"""The servers behind deployments: the local backend's, one process each; a scripted model answers from here."""

from __future__ import annotations

import threading
import uuid
from pathlib import Path
from typing import Any

import httpx

from azft.backends.local.endpoints import ANSWER_WITHIN, LocalEndpoints
from azft.domain.resource import Endpoint, RegisteredModel
from azft.errors import BackendError
from azft.testing.emulator.wire import Reply
from azft.testing.emulator.world import World

SCRIPTED_ANSWER = "This is the scripted answer."


class Servers:
    """Server processes by deployment; they end with the emulator and start again when they are asked."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._local = LocalEndpoints(world.local.home)
        self._running: dict[str, Endpoint] = {}
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

    def start(self, key: str, folder: Path | None) -> None:
        """Start the server of a deployment and return once it answers; `BackendError` if it never does."""
        with self._lock:
            failure, self._next_failure = self._next_failure or self._broken.get(key, ""), ""
            if failure:
                self._failures[key] = failure
                raise BackendError("the container exited before it was ready")
            self._failures.pop(key, None)
            if folder is None or key in self._running:
                return
            model = RegisteredModel(key.replace("/", "-"), "1", "", "local")
            try:
                self._running[key] = self._local.serve(folder / "model", model, f"served-{uuid.uuid4().hex[:12]}")
            except BackendError as error:
                self._failures[key] = str(error)
                raise

    def stop(self, key: str) -> None:
        """End the server of a deployment; one that does not run is fine."""
        with self._lock:
            endpoint = self._running.pop(key, None)
        if endpoint is not None:
            self._local.delete(endpoint.name)

    def close(self) -> None:
        """End every server."""
        for key in list(self._running):
            self.stop(key)
        self._client.close()

    def log(self, key: str) -> str:
        """Return what the server wrote."""
        endpoint = self._running.get(key)
        path = None if endpoint is None else self._world.local.home.endpoint(endpoint.name) / "server.log"
        written = path.read_text(errors="replace") if path is not None and path.exists() else ""
        return self._failures.get(key, "") or written or f"{key}: ready\n"

    def ask(self, key: str, folder: Path | None, path: str, body: Any) -> Reply:
        """Hand a request to the server and return its answer."""
        if folder is None:
            return _scripted(path, body)
        self.start(key, folder)
        endpoint = self._running[key]
        answer = self._client.post(endpoint.url + path, json=body, headers={"Authorization": f"Bearer {endpoint.key}"})
        kind = answer.headers.get("content-type", "application/json")
        return Reply(answer.content, answer.status_code, {"Content-Type": kind})


def _scripted(path: str, body: Any) -> Reply:
    if path == "/score":
        given = (body or {}).get("input_data", {}).get("input_string")
        nested = isinstance(given, list) and bool(given) and isinstance(given[0], list)
        answer = {"output": SCRIPTED_ANSWER}
        return Reply([answer] * len(given) if nested and isinstance(given, list) else answer)
    message = {"role": "assistant", "content": SCRIPTED_ANSWER}
    return Reply({"object": "chat.completion", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})
