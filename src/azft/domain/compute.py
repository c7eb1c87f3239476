"""Where a job may run."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

SERVERLESS = "serverless"
"""How a compute is called that is machines of a size and no cluster."""


@frozen
class ComputeSize:
    """A machine size on offer: GPUs, cores, and memory in GiB of one node; `peak` is dense 16-bit TFLOPS of a GPU.

    A size with neither GPUs nor cores is one of which nothing is known.
    """

    name: str
    gpus: int
    cores: int
    memory_gib: float
    family: str = ""
    gpu: str = ""
    gpu_memory_gib: float = 0.0
    disk_gib: float = 0.0
    retired: str = ""
    peak: float = 0.0


@frozen
class Compute:
    """One compute target: a cluster, or this machine. Memory and disk are in GiB per node, GPU memory in GiB each.

    `state` is the provider's word; `family` names the quota its cores count against; `retired` is the day on which
    the provider takes its size away (ISO date), empty for none. `kind` is what it is, "" for a cluster or this machine;
    `problems` are the errors that the provider tells of it, `nodes` how many machines it holds now, None if nobody
    says, and `region` where it is, if that is told; `elsewhere` says that it is not where the quotas were read. So many
    `min_nodes` are kept on though nothing runs.
    """

    name: str
    size: str
    gpus: int = 0
    cores: int = 0
    memory_gib: float = 0.0
    max_nodes: int = 1
    state: str = "Succeeded"
    tier: str = "Dedicated"
    family: str = ""
    gpu: str = ""
    gpu_memory_gib: float = 0.0
    disk_gib: float = 0.0
    retired: str = ""
    kind: str = ""
    problems: tuple[str, ...] = ()
    nodes: int | None = None
    region: str = ""
    peak: float = 0.0
    min_nodes: int = 0
    elsewhere: bool = False


def machines(name: str, size: ComputeSize, *, nodes: int, state: str = "Succeeded", tier: str = "Dedicated") -> Compute:
    """Return a compute of so many nodes of a size."""
    return Compute(
        name,
        size.name,
        size.gpus,
        size.cores,
        size.memory_gib,
        nodes,
        state,
        tier,
        size.family,
        size.gpu,
        size.gpu_memory_gib,
        size.disk_gib,
        size.retired,
        peak=size.peak,
    )


def plain_region(region: str) -> str:
    """Return a region's name as the wire has it.

    >>> plain_region("West US 2")
    'westus2'
    """
    return region.replace(" ", "").lower()


UsageScope = Literal["family", "total", "clusters"]


@frozen
class Usage:
    """How much of a core quota is used: of a family of machines, of all of a tier together, or how many clusters.

    `used` None means that the service does not tell, and so does a `limit` below 0, which is not "without limit".
    """

    family: str
    used: int | None
    limit: int
    scope: UsageScope = "family"
    tier: str = "Dedicated"
