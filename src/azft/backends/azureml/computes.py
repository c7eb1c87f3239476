"""Clusters, serverless machine types, sizes and quotas."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

from attrs import evolve

from azft.backends.azureml.client import Clients, word
from azft.backends.azureml.errors import translated
from azft.domain.compute import Compute, ComputeSize, Usage, machines
from azft.errors import ConfigurationError
from azft.snapshot import machine

SERVERLESS = "serverless"
MOST_NODES = 100
"""Serverless machines have no cluster that limits them; the quota does."""
TIERS = {"dedicated": "Dedicated", "lowpriority": "LowPriority"}


class AzureComputes:
    """The machines of a workspace. A name such as "Standard_NC24ads_A100_v4" means serverless machines of that size."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._sizes: tuple[ComputeSize, ...] = ()
        self._lock = threading.Lock()

    def find(self, name: str) -> Compute | None:
        """Return the cluster, or serverless machines; None only when Azure says that there is none of that name."""
        if not name:
            return None
        if name.lower().startswith("standard_"):
            size = self.size(name)
            return None if size is None else machines(SERVERLESS, size, nodes=MOST_NODES)
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"compute {name!r}"):
            try:
                found = self._clients.workspace.compute.get(name)
            except ResourceNotFoundError:
                return None
        kind = str(getattr(found, "size", "") or "")
        size = self.size(kind) or self.withdrawn(kind)
        tier = word(getattr(found, "tier", "") or "dedicated").replace("_", "")
        nodes = int(getattr(found, "max_instances", 1) or 1)
        state = word(found.provisioning_state)
        return machines(found.name, size, nodes=nodes, state=state, tier=TIERS.get(tier.lower(), tier))

    def size(self, name: str) -> ComputeSize | None:
        """Return the machine size of that name, whatever its case."""
        return next((size for size in self.sizes() if size.name.lower() == name.lower()), None)

    def withdrawn(self, name: str) -> ComputeSize:
        """Return a size that the region no longer offers, as far as azft's dated table knows it."""
        known = machine(name)
        if known is None:
            return ComputeSize(name, 0, 0, 0.0)
        size = ComputeSize(known.name, known.gpus, known.cores, known.memory_gib, known.family)
        return _with_gpu(size, known.disk_gib)

    def sizes(self) -> Sequence[ComputeSize]:
        """Return the sizes of the workspace's region; asked once."""
        with self._lock, translated("machine sizes"):
            if not self._sizes:
                found = self._clients.workspace.compute.list_sizes(location=self._clients.region)
                self._sizes = tuple(_size(entry) for entry in found)
            return self._sizes

    def usage(self) -> Sequence[Usage]:
        """Return the core quotas of the region, by family, with what is used of each."""
        with translated("quotas"):
            found = self._clients.workspace.compute.list_usage(location=self._clients.region)
            return tuple(_usage(entry) for entry in found)

    def create(self, name: str, size: str, *, max_nodes: int, tier: str) -> Compute:
        """Create a cluster that scales down to nothing; LowPriority only if that is the word given."""
        from azure.ai.ml.entities import AmlCompute

        kind = TIERS.get(tier.replace("_", "").lower())
        if kind is None:
            raise ConfigurationError(f"tier {tier!r}, expected 'Dedicated' or 'LowPriority'")
        known = self.size(size)
        if known is None:
            raise ConfigurationError(f"{size!r} is no machine size of {self._clients.region}", hint="see list_sizes()")
        cluster = AmlCompute(
            name=name,
            size=known.name,
            tier={"Dedicated": "dedicated", "LowPriority": "low_priority"}[kind],
            min_instances=0,
            max_instances=max_nodes,
            location=self._clients.region,
        )
        with translated(f"creating compute {name!r}"):
            made = self._clients.workspace.compute.begin_create_or_update(cluster).result()
        return machines(made.name, known, nodes=max_nodes, state=word(made.provisioning_state), tier=kind)

    def delete(self, name: str) -> None:
        """Delete a cluster; one that is gone is fine."""
        from azure.core.exceptions import ResourceNotFoundError

        with translated(f"deleting compute {name!r}"):
            try:
                self._clients.workspace.compute.begin_delete(name).wait()
            except ResourceNotFoundError:
                return


def _usage(entry: Any) -> Usage:
    name = entry.name["value"] if isinstance(entry.name, dict) else entry.name.value
    return Usage(str(name), int(_field(entry, "current_value", "currentValue")), int(entry.limit))


def _field(entry: Any, name: str, wire: str) -> Any:
    """Return a number by its name, or by the service's spelling: azure-ai-ml 1.35 leaves some only there."""
    value = getattr(entry, name, None)
    return (getattr(entry, wire, None) if value is None else value) or 0


def _size(entry: Any) -> ComputeSize:
    cores, memory = _field(entry, "v_cp_us", "vCPUs"), _field(entry, "memory_gb", "memoryGB")
    size = ComputeSize(entry.name, int(entry.gpus or 0), int(cores), float(memory), entry.family or "")
    return _with_gpu(size, float(_field(entry, "max_resource_volume_mb", "maxResourceVolumeMB")) / 1024)


def _with_gpu(size: ComputeSize, disk_gib: float) -> ComputeSize:
    """Return the size with the kind of its GPUs and its retirement, which the service does not tell."""
    known = machine(size.name)
    if known is None:
        return evolve(size, disk_gib=disk_gib)
    return evolve(size, disk_gib=disk_gib, gpu=known.gpu, gpu_memory_gib=known.gpu_memory_gib, retired=known.retired)
