"""MLflow on the wire: the real server, asked about runs by their Azure ids."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlencode, urlsplit

import httpx
import orjson

from azft.errors import BackendError
from azft.testing.emulator.jobs import KIND as JOBS
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.mlflow_server import MIRROR
from azft.testing.emulator.services.run_artifacts import address_of
from azft.testing.emulator.services.run_exchange import ENDED, TELLING, child_of, exchanged, root_of, told_of_run
from azft.testing.emulator.wire import DATA_PLANE, WORKSPACE, Call, Operation, Reply
from azft.testing.emulator.world import World
from azft.variables import QUIET, module_path
from azft.waiting import wait_until

READY_WITHIN = 60.0
IDS = "mlflow"
_ID = re.compile(rb"file:[^\"]+|[0-9a-f]{32}")
"""An id, or a place on this machine, which stays as it is."""


class Mlflow:
    """A child process with MLflow's own server, started at the first question."""

    def __init__(self, world: World, jobs: Jobs, socket_file: Path) -> None:
        self._world = world
        self._jobs = jobs
        self._socket_file = socket_file
        self._process: subprocess.Popen[bytes] | None = None
        self._client: httpx.Client | None = None
        self._lock = threading.Lock()
        self._asking = 0
        self._closed = False
        self._told: dict[str, str] = {}
        self._ids = {document["azure"]: document["mlflow"] for document in world.state.all(IDS)}
        self._back = {mlflow.encode(): azure.encode() for azure, mlflow in self._ids.items()}

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        path = "/mlflow/v2.0" + WORKSPACE + "/{rest}"
        note = "MLflow's own server; run ids are exchanged for Azure's on the way"
        return [
            Operation(method, DATA_PLANE, path, self._forward, "SDK source", note=note)
            for method in ("GET", "POST", "PATCH", "DELETE")
        ]

    def warm(self) -> None:
        """Start the server before the first question."""
        with self._lock:
            self._started()

    def close(self) -> None:
        """End the process, and then the connections to it, once nobody asks any more."""
        with self._lock:
            self._closed = True
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        # A client that is closed while a question is on its way leaves that connection open.
        wait_until(lambda: not self._asking, READY_WITHIN)
        if self._client is not None:
            self._client.close()

    def histories(self, runs: Sequence[str], metric: str) -> dict[str, list[float]]:
        """Return what each run has logged of a metric, by step and then by time; nothing where nobody has logged it."""
        if not runs:
            return {}
        with self._server() as client:
            known = {run: self._ids[run] for run in runs if run in self._ids}
            return {run: _history(client, known[run], metric) if run in known else [] for run in runs}

    @contextmanager
    def _server(self) -> Iterator[httpx.Client]:
        """Give the connection to the server, which knows by then how the jobs stand; nobody closes it meanwhile."""
        with self._lock:
            if self._closed:
                raise BackendError("the emulator is stopping")
            self._asking += 1
        try:
            with self._lock:
                client = self._started()
                self._mirror(client)
            yield client
        except httpx.HTTPError as error:
            raise BackendError(f"the MLflow server does not answer: {error}") from error
        finally:
            with self._lock:
                self._asking -= 1

    def _forward(self, call: Call) -> Reply:
        with self._server() as client:
            query = urlencode(exchanged(call.query, self._ids))
            body = None if call.body is None else orjson.dumps(exchanged(call.body, self._ids))
            answer = client.request(
                call.method,
                f"http://localhost/{call['rest']}?{query}",
                content=body,
                headers={"Content-Type": "application/json"},
            )
        if answer.is_success:
            self._heard(call)
        content = answer.content if reads_files(call) else self._on_the_wire(answer.content)
        content = _ID.sub(lambda found: self._back.get(found[0], found[0]), content)
        kind = answer.headers.get("content-type", "application/json")
        return Reply(content, answer.status_code, {"Content-Type": kind})

    def _heard(self, call: Call) -> None:
        """Keep the name and the tags that somebody has given to a job's run: a job's are its run's."""
        what, body = call["rest"].rpartition("/mlflow/")[2], call.body or {}
        name = str(body.get("run_id") or body.get("run_uuid") or "")
        if what not in TELLING or self._world.state.get(JOBS, name) is None:
            return
        if what == "runs/delete-tag":
            self._jobs.change(name, {}, without=(str(body.get("key")),))
        elif changed := told_of_run(what, body, self._jobs.get(name)["properties"].get("tags") or {}):
            self._jobs.change(name, changed)

    def folders(self, run: str) -> dict[str, Path]:
        """Return the folders that a run, or a model that was logged, has here, by their place among its artifacts."""
        with self._server() as client:
            if run.startswith("m-"):
                return _present({"": self._logged(client, run)[1]})
            known = self._ids.get(run, run)
            answer = client.get(f"http://localhost/api/2.0/mlflow/runs/get?{urlencode({'run_id': known})}")
            if answer.status_code == HTTPStatus.NOT_FOUND:
                return {}
            found = answer.raise_for_status().json()["run"]
            models = (found.get("outputs") or {}).get("model_outputs") or ()
            logged = dict(self._logged(client, str(output["model_id"])) for output in models)
        return _present({**logged, "": local_path(str(found["info"].get("artifact_uri") or ""))})

    def _logged(self, client: httpx.Client, model: str) -> tuple[str, Path | None]:
        """Return the name and the folder of a model that was logged."""
        told = client.get(f"http://localhost/api/2.0/mlflow/logged-models/{model}")
        if told.status_code == HTTPStatus.NOT_FOUND:
            return model, None
        info = told.raise_for_status().json()["model"]["info"]
        return str(info["name"]), local_path(str(info["artifact_uri"]))

    def _on_the_wire(self, content: bytes) -> bytes:
        """Return an answer with the addresses that Azure gives for artifacts."""
        local = re.escape(self._world.local.home.artifacts.as_uri()).encode() + rb"/(?:\w+/)?([0-9a-f]{32})/artifacts"

        def address(found: re.Match[bytes]) -> bytes:
            run = self._back.get(found[1]) or found[1]
            return address_of(self._world, run.decode()).encode()

        return re.sub(local, address, content)

    def _started(self) -> httpx.Client:
        if self._client is not None:
            return self._client
        log = self._world.state.folder / "mlflow.log"
        with log.open("ab") as output:
            self._process = process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-m",
                    "azft.testing.emulator.mlflow_server",
                    str(self._world.local.home.root),
                    str(self._socket_file),
                ],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # The caller's own folder may go while the server is there, and MLflow asks for where it is.
                cwd=self._world.state.folder,
                env={**_without_proxy(), "PYTHONPATH": module_path()},
            )
        # The file is there once the server listens.
        wait_until(lambda: process.poll() is not None or self._socket_file.exists(), READY_WITHIN)
        if process.poll() is not None or not self._socket_file.exists():
            raise BackendError("the MLflow server did not start", hint=f"see {log}")
        self._client = httpx.Client(transport=httpx.HTTPTransport(uds=str(self._socket_file)), timeout=READY_WITHIN)
        return self._client

    def _mirror(self, client: httpx.Client) -> None:
        """Tell the server about the runs that have changed since it was told last."""
        changed = self._jobs.take_changed()
        try:
            self._mirror_all(client, changed)
        except Exception:
            self._jobs.put_back(changed)
            raise

    def _mirror_all(self, client: httpx.Client, changed: Collection[str]) -> None:
        runs: list[dict[str, Any]] = []
        told: dict[str, str] = {}
        for name in self._world.state.names(JOBS):
            ended = self._told.get(name) in ENDED
            if ended and name not in changed:
                continue
            document = self._jobs.get(name)
            story = self._jobs.story(document)
            told[document["name"]] = story.status
            root = root_of(document, story)
            if ended:  # Its name or its tags are new; it is not to end a second time.
                runs.append({**root, "ended": ""})
                continue
            runs.append(root)
            runs.extend(child_of(document, step) for step in story.steps)
        if not runs:
            return
        known = client.post(f"http://localhost{MIRROR}", json=runs).raise_for_status().json()
        self._told |= told
        for azure, mlflow in known.items():
            if azure not in self._ids:
                self._world.state.put(IDS, azure, {"azure": azure, "mlflow": mlflow})
                self._ids[azure] = mlflow
                self._back[mlflow.encode()] = azure.encode()


def _present(folders: Mapping[str, Path | None]) -> dict[str, Path]:
    return {inside: folder for inside, folder in folders.items() if folder is not None}


def reads_files(call: Call) -> bool:
    """Whether a client reads artifacts on this machine: MLflow 3's, whose plugin cannot read Azure's addresses.

    azure-sdk-for-python 43661: the plugin does not take the arguments that MLflow 3 gives it.
    """
    told = call.headers.get("x-mlflow-client-version") or call.headers.get("user-agent", "").rpartition("client/")[2]
    return not told.startswith(("1.", "2."))


def local_path(uri: str) -> Path | None:
    """Return the path of a `file:` address, None of another.

    >>> local_path("file:///a/b"), local_path("azureml://a")
    (PosixPath('/a/b'), None)
    """
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file:") else None


def _without_proxy() -> dict[str, str]:
    redirecting = {"HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"}
    return {**{key: value for key, value in os.environ.items() if key.upper() not in redirecting}, **QUIET}


def _history(client: httpx.Client, run: str, metric: str) -> list[float]:
    asked = urlencode({"run_id": run, "metric_key": metric})
    answer = client.get(f"http://localhost/api/2.0/mlflow/metrics/get-history?{asked}").raise_for_status()
    found = answer.json().get("metrics", [])
    found.sort(key=lambda entry: (int(entry.get("step") or 0), int(entry["timestamp"])))
    return [_number(float(entry["value"])) for entry in found]


def _number(value: float) -> float:
    """Return a value as it was logged: MLflow keeps an infinite one as the largest number there is.

    >>> _number(-1.7976931348623157e308), _number(0.5)
    (-inf, 0.5)
    """
    return math.copysign(math.inf, value) if abs(value) == sys.float_info.max else value
