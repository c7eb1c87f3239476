"""The emulator as one object: started, described by environment variables, stopped."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from azft.backends.local.backend import LocalBackend
from azft.snapshot import RegistryVersion
from azft.testing.emulator.application import Application, Recorded
from azft.testing.emulator.blob_service import BlobService
from azft.testing.emulator.blobs import Blobs
from azft.testing.emulator.certificates import is_emulated, make_certificates
from azft.testing.emulator.clock import Clock
from azft.testing.emulator.identity import Identity
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.router import Router
from azft.testing.emulator.scripts import Outcome
from azft.testing.emulator.server import Server
from azft.testing.emulator.services.computes import Computes
from azft.testing.emulator.services.deployments import Deployments
from azft.testing.emulator.services.endpoints import OnlineEndpoints
from azft.testing.emulator.services.history import RunHistory
from azft.testing.emulator.services.jobs import JobService
from azft.testing.emulator.services.models import Assets
from azft.testing.emulator.services.registries import Registries, as_of_day
from azft.testing.emulator.services.tracking import Mlflow
from azft.testing.emulator.services.workspaces import Workspaces
from azft.testing.emulator.serving import Servers
from azft.testing.emulator.state import State
from azft.testing.emulator.wire import Operation
from azft.testing.emulator.world import CONTAINER, World, folder_for

REGISTRY = "azureml"
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
_CLEARED = (
    "AZURE_CLIENT_CERTIFICATE_PATH",
    "AZURE_FEDERATED_TOKEN_FILE",
    "AZURE_AUTHORITY_HOST",
    "ALL_PROXY",
    "all_proxy",
)


class AzureMLEmulator:
    """An Azure ML workspace on this machine: `with AzureMLEmulator() as emulator:` redirects this process to it.

    `folder` keeps everything, and a second emulator on it carries on; without one it is gone at the end. `as_of`
    (ISO date) gives the registry and the machine sizes of that day. `models` are added to the registry "azureml",
    `registries` are further registries by name. `quotas` are cores by family, 200 if not given. `latency` seconds are
    added to every answer. Nothing but loopback is ever contacted; every other host is refused and listed in `refused`.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        as_of: str = "",
        models: Sequence[RegistryVersion] = (),
        registries: Mapping[str, Sequence[RegistryVersion]] | None = None,
        quotas: Mapping[str, int] | None = None,
        region: str = "eastus",
        latency: float = 0.0,
    ) -> None:
        self._scratch = Path(tempfile.mkdtemp(prefix="azft-"))
        self._kept = folder is not None
        root = Path(folder).absolute() if folder is not None else self._scratch / "state"
        root.mkdir(parents=True, exist_ok=True)
        today = as_of or datetime.now(UTC).date().isoformat()
        self.world = World(
            SUBSCRIPTION,
            "rg-emulated",
            "ws-emulated",
            TENANT,
            region,
            "azftemulated",
            today,
            State(root),
            Blobs(folder_for(root, "storage")),
            LocalBackend(root / "local"),
        )
        known = {
            REGISTRY: [*as_of_day(today), *models],
            **{name: list(found) for name, found in (registries or {}).items()},
        }
        self._identity = Identity(TENANT, CLIENT)
        self._registries = Registries(self.world, known)
        self.jobs = Jobs(self.world, self._registries.find)
        self.servers = Servers(self.world)
        self.mlflow = Mlflow(self.world, self.jobs, self._scratch / "mlflow.sock")
        self._computes = Computes(self.world, dict(quotas or {}))
        self._region = region
        self._router = Router(self.ledger(), self._identity.allowed)
        blobs = BlobService(self.world.blobs, frozenset({CONTAINER}))
        self._application = Application(self._router, blobs, account=self.world.account, latency=latency)
        self._key = secrets.token_urlsafe(16)
        self._undo = ExitStack()
        self._server: Server | None = None
        self._authority = Path()
        self.refused: list[str] = []

    @property
    def clock(self) -> Clock:
        """The emulator's time; `advance(seconds)` puts it forward."""
        return self.world.clock

    @property
    def requests(self) -> Sequence[Recorded]:
        """The requests that were answered, oldest first, up to the last 20,000."""
        return tuple(self._application.requests)

    def ledger(self) -> list[Operation]:
        """Return every operation that is emulated, and where its behaviour comes from."""
        models = Assets(self.world, self.jobs, "models")
        deployments = Deployments(self.world, self.servers, models.folder_of)
        services = (
            self._identity,
            self._registries,
            Workspaces(self.world),
            self._computes,
            Assets(self.world, self.jobs, "data"),
            models,
            JobService(self.world, self.jobs, self._computes.exists),
            RunHistory(self.world, self.jobs),
            deployments,
            OnlineEndpoints(self.world, deployments),
            self.mlflow,
            self.world.operations,
        )
        return [operation for service in services for operation in service.operations()]

    def script(self, outcome: Outcome, *, always: bool = False) -> None:
        """Give the next job (or every one) an outcome instead of training."""
        self.jobs.script(outcome, always=always)

    def start(self) -> Self:
        """Start without redirecting this process."""
        self._authority, context = make_certificates(self._scratch, self._region)
        self._server = Server(
            self._application.asgi,
            context,
            self._scratch / "azure.sock",
            key=self._key,
            allowed=lambda host: is_emulated(host, self._region),
            refused=self.refused.append,
        )
        self._server.start()
        return self

    def stop(self) -> None:
        """Stop, and leave nothing behind but the folder that was given."""
        self.world.operations.close()
        self.servers.close()
        self.mlflow.close()
        if self._server is not None:
            self._server.stop()
        if not self._kept:
            for document in self.jobs.all():
                self.jobs.cancel(document["name"])
            for run in (self.world.local.home.root / "runs").glob("run-*"):
                list(self.world.local.events(self.world.local.find_run(run.name), timeout=60))
        shutil.rmtree(self._scratch, ignore_errors=True)

    def environment(self) -> dict[str, str]:
        """Return the variables that lead a program here: the proxy, its authority, the workspace, and the sign-in."""
        if self._server is None:
            return {}
        proxy = f"http://azft:{self._key}@127.0.0.1:{self._server.port}"
        local = "127.0.0.1,localhost"
        return {
            **dict.fromkeys(("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy"), proxy),
            **dict.fromkeys(("NO_PROXY", "no_proxy"), local),
            "REQUESTS_CA_BUNDLE": str(self._authority),
            "SSL_CERT_FILE": str(self._authority),
            "AZURE_SUBSCRIPTION_ID": self.world.subscription,
            "AZURE_RESOURCE_GROUP": self.world.group,
            "AZUREML_WORKSPACE_NAME": self.world.workspace,
            "AZURE_TENANT_ID": self._identity.tenant,
            "AZURE_CLIENT_ID": self._identity.client,
            "AZURE_CLIENT_SECRET": self._identity.secret,
        }

    def __enter__(self) -> Self:
        self.start()
        for name in (*self.environment(), *_CLEARED):
            self._undo.callback(_restore, name, os.environ.pop(name, None))
        os.environ.update(self.environment())
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._undo.close()
        self.stop()

    def __repr__(self) -> str:
        return f"AzureMLEmulator({str(self.world.state.folder)!r})"


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
