"""Children that die: programs that are killed at a step of their own work, or at a moment."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

STEPS = "steps"
"""The file in which a child that lives to its end says how many steps it had."""


class Steps:
    """Counts the steps at which a client could die, and dies at one of them."""

    def __init__(self, at: int) -> None:
        self._at = at
        self._lock = threading.Lock()
        self.count = 0

    def step(self) -> None:
        """Take one step, or die."""
        with self._lock:
            self.count += 1
            if self.count == self._at:
                os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: Any, name: str, wanted: Callable[..., bool]) -> None:
        """Make every wanted call of a method two steps: before it, and after it has taken effect."""
        plain = getattr(owner, name)

        def called(*arguments: Any, **more: Any) -> Any:
            if not wanted(*arguments, **more):
                return plain(*arguments, **more)
            self.step()
            value = plain(*arguments, **more)
            self.step()
            return value

        setattr(owner, name, called)


def _dies(environment: dict[str, str], folder: str, at: int, after: float) -> Steps:
    os.environ.update(environment)
    os.chdir(folder)
    if after:
        threading.Timer(after, os.kill, (os.getpid(), signal.SIGKILL)).start()
    return Steps(at)


def azure_client(environment: dict[str, str], folder: str, phase: str, at: int, after: float) -> None:
    """Make a cluster, submit, register or deploy on the emulator; die at the step `at` or `after` seconds."""
    steps = _dies(environment, folder, at, after)
    from azure.core.pipeline.transport import RequestsTransport

    from azft.backends.azureml.backend import AzureMLBackend
    from azft.ledger import Ledger
    from tests.workspaces import SIZE, session_of

    steps.around(Ledger, "_append", lambda *_all: True)
    writes = {"PUT", "POST", "DELETE", "PATCH"}
    steps.around(RequestsTransport, "send", lambda _self, request, **_more: request.method in writes)
    session = session_of(AzureMLBackend(instance_type=SIZE, poll=0.05), Path(folder))
    if phase == "create_compute":
        session.create_compute("ours", SIZE)
    run = session.submit()
    if phase in {"register", "deploy"}:
        session.watch(run)
        model = session.register(run)
        if phase == "deploy":
            session.deploy(model)
    (Path(folder) / STEPS).write_text(str(steps.count), encoding="ascii")
    os._exit(0)


def local_client(environment: dict[str, str], folder: str, phase: str, at: int, after: float) -> None:
    """Submit a run here, or deploy a model that is registered already; die like that."""
    steps = _dies(environment, folder, at, after)
    from azft import FineTuneSession
    from azft.backends.local import endpoints, runs
    from azft.backends.local.backend import LocalBackend
    from azft.domain.resource import RegisteredModel
    from azft.ledger import Ledger
    from azft.testing.contract import SAMPLE

    steps.around(Ledger, "_append", lambda *_all: True)
    for module in (runs, endpoints):
        steps.around(module, "start_detached", lambda *_all, **_more: True)
    steps.around(endpoints, "write_marks", lambda *_all, **_more: True)
    home = Path(folder) / "home"
    session = FineTuneSession(dataset=SAMPLE, percent=8, folder=home, backend=LocalBackend(home), progress=False)
    if phase == "submit":
        session.submit()
    else:
        name, version = phase.split(":")
        session.deploy(RegisteredModel(name, version, "", "local"))
    (Path(folder) / STEPS).write_text(str(steps.count), encoding="ascii")
    time.sleep(0.1)
    os._exit(0)
