"""Endpoints as server processes on loopback."""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import orjson

from azft.backends.local.holding import SERVER, discard_held, is_held
from azft.backends.local.home import Home
from azft.backends.local.launch import ending, start_detached, told
from azft.backends.local.marks import read_marks, write_marks
from azft.backends.local.scoring.server import KEY, PROCESS
from azft.backends.local.tracking import Tracking
from azft.domain.resource import Endpoint, Leftover, RegisteredModel, Resource
from azft.errors import AuthenticationError, BackendError, ConfigurationError, NameTakenError, NotOursError
from azft.files import remove_leftovers, whole_folder
from azft.processes import is_alive
from azft.rules.diagnosis import diagnosed
from azft.rules.marks import TOKEN, is_ours
from azft.rules.naming import endpoint_name
from azft.rules.streams import pieces
from azft.rules.suggest import did_you_mean
from azft.waiting import wait_until

SETTINGS = ("max_tokens", "max_completion_tokens", "temperature", "top_p", "stop", "seed")
"""What a question may be asked with: of OpenAI's parameters those that change the answer."""

LOCKED_WITHIN = 30.0
"""Seconds until the server's process has the endpoint's lock."""
ENDED_WITHIN = 3.0
"""Seconds until it is known how a process ended."""
TRIES = 3
READY_WITHIN = 120.0
"""Seconds a server may take to load its model."""
ANSWER_WITHIN = 180.0


class LocalEndpoints:
    """The endpoint service of this machine."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def deploy(
        self, model: RegisteredModel, name: str = "", *, port: int = 0, tags: Mapping[str, str] | None = None
    ) -> Endpoint:
        """Start a server for the model and return once it answers; `port` 0 picks a free one."""
        return self.serve(Tracking(self._home).folder_of(model) / "model", model, name, port=port, tags=tags)

    def serve(
        self,
        weights: Path,
        model: RegisteredModel,
        name: str = "",
        *,
        port: int = 0,
        tags: Mapping[str, str] | None = None,
    ) -> Endpoint:
        """Start a server for weights in a folder, whichever registry they are registered in."""
        name = name or endpoint_name(model.name, uuid.uuid4().hex[:8])
        folder = self._home.endpoint(name)
        marked = {TOKEN: uuid.uuid4().hex, **(tags or {}), "azft.model": f"{model.name}:{model.version}"}
        if folder.exists():
            raise NameTakenError(f"there is an endpoint {name!r} already", hint="choose another name, or leave it out")
        # The folder has its marks from its first moment, so that one whose maker died is known for what it is.
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_leftovers(folder.parent)
        with whole_folder(folder) as made:
            write_marks(made, marked)
        key = secrets.token_urlsafe(32)
        with ExitStack() as undo:
            undo.callback(self.delete, name, marked[TOKEN])
            start_detached(
                "azft.backends.local.scoring.server",
                [folder, weights, f"{model.name}:{model.version}", port],
                folder / "server.log",
                secrets={KEY: key},
            )
            address = f"http://127.0.0.1:{_wait_for_port(name, folder)}"
            undo.pop_all()
        return Endpoint(name, address, model, key)

    def ask(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> str:
        """Return the answer to a conversation; `ConfigurationError` for a setting that there is none of."""
        with _answered(endpoint, messages, settings) as reply:
            answer: str = orjson.loads(reply.read())["choices"][0]["message"]["content"]
            return answer

    def stream(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]], **settings: Any) -> Iterator[str]:
        """Yield the answer to a conversation piece by piece."""
        with _answered(endpoint, messages, settings, stream=True) as reply:
            yield from pieces(reply)

    def delete(self, name: str, token: str = "") -> None:
        """End the server and remove its folder; one that is gone is fine, one that is not ours is left."""
        folder = self._home.endpoint(name)
        if not folder.exists():
            return
        if token and not is_ours(read_marks(folder), token):
            raise NotOursError(f"endpoint {name} was made by somebody else, so it is left")
        for _try in range(TRIES):  # A server that has just started is ended at the next try.
            _end(folder)
            if discard_held(folder / SERVER, within=ENDED_WITHIN):
                return
        raise BackendError(f"the server of endpoint {name!r} does not end", hint="try again; see its server.log")

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every endpoint that is there, whether its server lives or not."""
        for folder in sorted(path for path in self._home.endpoints.glob("*") if not path.name.startswith(".")):
            state = "answering" if _alive(folder) and (folder / "ready.json").exists() else "not answering"
            token = read_marks(folder).get(TOKEN, "")
            resource = Resource("endpoint", folder.name, "local", token)
            yield Leftover(resource, state, folder.stat().st_mtime, price=0.0)


@contextmanager
def _answered(
    endpoint: Endpoint, messages: Sequence[Mapping[str, str]], settings: Mapping[str, Any], **more: Any
) -> Iterator[Any]:
    """Give the reply to a conversation; whatever goes wrong with it is one of azft's errors."""
    for name in settings:
        if name not in SETTINGS:
            raise ConfigurationError(
                f"there is no setting {name!r}",
                hint=f"{did_you_mean(name, SETTINGS)}; they are {', '.join(SETTINGS)}",
            )
    body = orjson.dumps({"messages": [dict(message) for message in messages], **settings, **more})
    request = urllib.request.Request(
        f"{endpoint.url}/v1/chat/completions",
        data=body,
        headers={"Authorization": f"Bearer {endpoint.key}", "Content-Type": "application/json"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=ANSWER_WITHIN) as reply:
            yield reply
    except urllib.error.HTTPError as error:
        with error:
            reason = _reason(error.read())
        kind = AuthenticationError if error.code == HTTPStatus.UNAUTHORIZED else BackendError
        raise kind(f"endpoint {endpoint.name!r} answered {error.code}: {reason}") from None
    except (OSError, http.client.HTTPException) as error:
        why = getattr(error, "reason", None) or error
        raise BackendError(
            f"endpoint {endpoint.name!r} does not answer: {why}", hint="deploy it again; see its server.log"
        ) from error
    except (ValueError, LookupError, TypeError) as error:
        raise BackendError(f"endpoint {endpoint.name!r} answered with something that is no answer") from error


def _end(folder: Path) -> None:
    """End the folder's server, also one that still loads its model."""
    if not _alive(folder):
        return
    process = folder / PROCESS
    if not wait_until(process.exists, LOCKED_WITHIN):
        return
    known = orjson.loads(process.read_bytes())
    pid, since = int(known["pid"]), float(known["started"])
    for number in (signal.SIGTERM, signal.SIGKILL):
        if is_alive(pid, since):
            os.kill(pid, number)
        if wait_until(lambda: not _alive(folder), 10):
            return


def _wait_for_port(name: str, folder: Path) -> int:
    """Return the port once the server answers; `BackendError` with the reason it gave if it never does."""
    ready, failure = folder / "ready.json", folder / "failure.txt"
    wait_until(lambda: _alive(folder) or failure.exists() or ending(folder) is not None, LOCKED_WITHIN)
    wait_until(lambda: ready.exists() or failure.exists() or not _alive(folder), READY_WITHIN)
    if ready.exists():
        return int(orjson.loads(ready.read_bytes())["port"])
    if failure.exists():
        reason, fix = failure.read_text(errors="replace")[-500:].strip(), "port=0 picks a free port"
    else:
        wait_until(lambda: ending(folder) is not None, ENDED_WITHIN)
        code = ending(folder)
        lines = (folder / "server.log").read_text(errors="replace").splitlines()
        found = diagnosed("", lines, exit_code=code)
        last = next((line for line in reversed(lines) if line.strip()), "it wrote nothing")
        reason, fix = f"its process was {told(code)}; {found.title if found.known else last}", found.fix
    raise BackendError(f"endpoint {name!r} did not start: {reason}", hint=fix)


def _reason(body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"]["message"])
    except (orjson.JSONDecodeError, LookupError, TypeError):
        return body[:200].decode("utf-8", "replace")


def _alive(folder: Path) -> bool:
    return is_held(folder / SERVER)
