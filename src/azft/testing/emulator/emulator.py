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
from typing import Any, Self

from azft.backends.local.backend import LocalBackend
from azft.processes import is_alive
from azft.snapshot import RegistryPipeline, RegistryVersion
from azft.testing.emulator.application import Application, Recorded
from azft.testing.emulator.blob_service import BlobService
from azft.testing.emulator.blobs import Blobs
from azft.testing.emulator.certificates import is_emulated, make_certificates
from azft.testing.emulator.clock import Clock
from azft.testing.emulator.faults import Faults, Scripted, fault_of
from azft.testing.emulator.faults import preset as named
from azft.testing.emulator.identity import LIFETIME, Identity
from azft.testing.emulator.provided import provide
from azft.testing.emulator.router import Router
from azft.testing.emulator.scripts import EVICTED, Outcome
from azft.testing.emulator.server import Server
from azft.testing.emulator.services.registries import as_of_day
from azft.testing.emulator.services.wiring import Services
from azft.testing.emulator.state import State
from azft.testing.emulator.wire import Operation
from azft.testing.emulator.world import CONTAINER, World, folder_for

REGISTRY = "azureml"
OTHER_REGISTRIES = ("azureml-meta", "azureml-msr", "azureml-openai-oss", "azureml-mistral")
"""Microsoft's other registries, in which models are what a user puts there."""
SUBSCRIPTION = "00000000-0000-0000-0000-0000000000aa"
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "22222222-2222-2222-2222-222222222222"
EVICTION = "spot eviction"
_SCRATCH = "azft-emulator-"
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
    `registries` are further registries by name, and `pipelines` further fine-tuning pipelines of theirs. `quotas` are
    limits by the live names (families, "TotalDedicatedCores", "TotalLowPriorityCores", "TotalClusters"), 200 cores of a
    family if not given, and `used` how much of them is in use. `latency` seconds are
    added to every answer, and a token lives `token_lifetime` seconds. `store` is the kind of the default datastore
    ("AzureBlob", "AzureDataLakeGen2", "AzureFile"), and `keys` whether the storage account takes keys and signatures.
    Nothing but loopback is ever contacted; every other host is refused and listed in `refused`.
    """

    def __init__(
        self,
        folder: str | Path | None = None,
        *,
        as_of: str = "",
        models: Sequence[RegistryVersion] = (),
        registries: Mapping[str, Sequence[RegistryVersion]] | None = None,
        pipelines: Sequence[RegistryPipeline] = (),
        quotas: Mapping[str, int] | None = None,
        used: Mapping[str, int | None] | None = None,
        region: str = "eastus",
        latency: float = 0.0,
        token_lifetime: float = LIFETIME,
        store: str = "AzureBlob",
        keys: bool = True,
    ) -> None:
        _remove_abandoned()
        self._scratch = Path(tempfile.mkdtemp(prefix=f"{_SCRATCH}{os.getpid()}-"))
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
            **{name: [] for name in OTHER_REGISTRIES},
            **{name: list(found) for name, found in (registries or {}).items()},
        }
        self._identity = Identity(TENANT, CLIENT, lifetime=token_lifetime)
        self.faults = Faults()
        self._services = Services(
            self.world,
            self._identity,
            self._scratch,
            self.environment,
            models=known,
            pipelines={pipeline.component.name: pipeline for pipeline in pipelines},
            limits=quotas or {},
            used=used or {},
            store=store,
        )
        self.jobs, self.servers, self.mlflow = self._services.jobs, self._services.servers, self._services.mlflow
        self._region = region
        self._router = Router(self.ledger(), self._identity.why_not, self.world.elsewhere, self._identity.challenge)
        blobs = BlobService(self.world.blobs, frozenset({CONTAINER}), keys=keys, bearer=self._identity.bears)
        self._application = Application(self._router, blobs, self.faults, account=self.world.account, latency=latency)
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
        return list(self._services.operations())

    def fault(self, method: str = "", path: str = "", *, preset: str = "", **settings: Any) -> list[Scripted]:
        """Let something happen to requests: see `Fault` for the settings, and `PRESETS` for sets of them by name.

        Returns what was put in force; `met` of each counts the requests that it happened to. "spot eviction" is a
        preset, too: the next job loses its machines.
        """
        if preset == EVICTION:
            self.script(Outcome("failed", error=EVICTED))
            return []
        wanted = named(preset) if preset else (fault_of(method, path, None, **settings),)
        return self.faults.add(*wanted)

    def place_compute(self, name: str, **settings: Any) -> dict[str, Any]:
        """Put a compute of somebody else's there, of any kind, in any state: see `Computes.place`."""
        return self._services.computes.place(name, **settings)

    def provide(self, address: str, path: str | Path) -> None:
        """Let a file or a folder of this machine stand for what is at an address elsewhere, such as https or wasbs.

        Errors: `ConfigurationError` for an address in the workspace's own store, and for a path that is not there.
        """
        provide(self.world, address, Path(path).expanduser().absolute())

    def preempt(self, job: str, *, restart: bool = True) -> None:
        """Take the machines of a running command job away: the service restarts it, or lets it fail."""
        self.jobs.commands.preempt(job, restart=restart)

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
        self._services.start()
        return self

    def stop(self) -> None:
        """Stop, and leave nothing behind but the folder that was given."""
        if self._server is not None:
            self._services.stop()
        self._services.close()
        if self._server is not None:
            self._server.stop()
        self.mlflow.close()
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


def _remove_abandoned() -> None:
    """Remove what emulators left that were killed: a folder's name has the number of its process."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_SCRATCH}*"):
        owner = folder.name.removeprefix(_SCRATCH).partition("-")[0]
        if owner.isdecimal() and not is_alive(int(owner)):
            shutil.rmtree(folder, ignore_errors=True)


def _restore(name: str, value: str | None) -> None:
    if value is None:
        os.environ.pop(name, None)
    else:
        os.environ[name] = value
