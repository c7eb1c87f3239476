"""The services of the emulated workspace, each given what it asks of the others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from azft.snapshot import RegistryPipeline, RegistryVersion, registry_pipelines
from azft.testing.emulator.identity import Identity
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.named_outputs import NamedOutput
from azft.testing.emulator.services.batch import BatchEndpoints
from azft.testing.emulator.services.codes import Codes
from azft.testing.emulator.services.components import Components
from azft.testing.emulator.services.computes import Computes
from azft.testing.emulator.services.datastores import Datastores
from azft.testing.emulator.services.deployments import Deployments
from azft.testing.emulator.services.endpoints import OnlineEndpoints
from azft.testing.emulator.services.environments import Environments
from azft.testing.emulator.services.history import RunHistory
from azft.testing.emulator.services.jobs import JobService
from azft.testing.emulator.services.models import Assets
from azft.testing.emulator.services.quotas import Quotas
from azft.testing.emulator.services.registered_models import RegisteredModels
from azft.testing.emulator.services.registries import Registries
from azft.testing.emulator.services.run_artifacts import RunArtifacts
from azft.testing.emulator.services.schedules import Schedules
from azft.testing.emulator.services.subscriptions import Subscriptions
from azft.testing.emulator.services.tracking import Mlflow
from azft.testing.emulator.services.workspaces import Workspaces
from azft.testing.emulator.serving import Servers
from azft.testing.emulator.wire import Call, Operation
from azft.testing.emulator.world import World


class Services:
    """Every service of one workspace; `scratch` is for sockets and the like, `environment` what jobs are told.

    `models` are those of each registry, `pipelines` further fine-tuning pipelines by name, `limits` and `used` the
    quotas, and `store` the kind of the default datastore.
    """

    def __init__(
        self,
        world: World,
        identity: Identity,
        scratch: Path,
        environment: Callable[[], dict[str, str]],
        *,
        models: dict[str, list[RegistryVersion]],
        pipelines: Mapping[str, RegistryPipeline],
        limits: Mapping[str, int],
        used: Mapping[str, int | None],
        store: str,
    ) -> None:
        self._world = world
        self._identity = identity
        self._store = store
        self._registries = Registries(world, models, {**registry_pipelines(), **pipelines})
        self._environments = Environments(world)
        self._components = Components(world, self._environments.check)
        self._quotas = Quotas(world, limits, used)
        self.computes = Computes(world, self._quotas)
        self.jobs = Jobs(
            world,
            self._registries.find,
            environment,
            others=pipelines,
            find_component=self._components.spec,
            histories=self._histories,
            check_command=self._check_command,
        )
        self._job_service = JobService(
            world, self.jobs, self.computes.exists, self._environments.check, self._registries.pipeline
        )
        self.schedules = Schedules(world, self.jobs, self._job_service.check)
        self.servers = Servers(world, scratch, environment)
        self.mlflow = Mlflow(world, self.jobs, scratch / "mlflow.sock")
        self._artifacts = RunArtifacts(world, self.mlflow.folders)
        self._data = Assets(world, self.jobs, "data", self._artifacts.path)
        self._models = Assets(world, self.jobs, "models", self._artifacts.path, self._registries.find)
        self.jobs.outputs.register = self._register_output
        self._deployments = Deployments(
            world, self.servers, self._models.model_of, self._bears, self._environments.check_own
        )

    def operations(self) -> Iterator[Operation]:
        """Yield every operation that is emulated."""
        world, jobs = self._world, self.jobs
        for service in (
            self._identity,
            Subscriptions(world),
            self._registries,
            Workspaces(world),
            Datastores(world, self._store),
            self.computes,
            self._quotas,
            self._data,
            self._models,
            self._job_service,
            self._components,
            Codes(world),
            self._environments,
            RunHistory(world, jobs),
            BatchEndpoints(world, jobs, self._components.keep, self._components.spec, self._bears),
            self.schedules,
            self._deployments,
            OnlineEndpoints(world, self._deployments),
            self._artifacts,
            RegisteredModels(world, self._models, self._artifacts),
            self.mlflow,
            world.operations,
        ):
            yield from service.operations()

    def start(self) -> None:
        """Start what goes on between requests: nodes of pipelines and trials, and schedules."""
        self.jobs.composed.start()
        self.schedules.start()

    def stop(self) -> None:
        """Stop what goes on between requests."""
        self.schedules.stop()
        self.jobs.composed.stop()

    def close(self) -> None:
        """End deployments and their servers; MLflow's own is closed once nobody asks any more."""
        self._world.operations.close()
        self._deployments.close()
        self.servers.close()

    def _bears(self, call: Call) -> bool:
        return not self._identity.why_not(call)[0]

    # What the jobs ask of services that are made after them.

    def _histories(self, runs: Sequence[str], metric: str) -> dict[str, list[float]]:
        return self.mlflow.histories(runs, metric)

    def _register_output(self, output: NamedOutput, job: str, path: str) -> None:
        (self._models if output.of_models else self._data).keep_output(output, job, path)

    def _check_command(self, properties: Mapping[str, Any]) -> None:
        self._job_service.check_command(properties)
