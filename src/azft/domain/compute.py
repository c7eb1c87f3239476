"""Where a job may run."""

from __future__ import annotations

from attrs import frozen


@frozen
class Compute:
    """One compute target: a cluster, or this machine. Memory is in GiB per node; `state` is the provider's word."""

    name: str
    size: str
    gpus: int = 0
    cores: int = 0
    memory_gib: float = 0.0
    max_nodes: int = 1
    state: str = "Succeeded"
    tier: str = "Dedicated"


@frozen
class ComputeSize:
    """A machine size on offer: GPUs, cores, and memory in GiB of one node."""

    name: str
    gpus: int
    cores: int
    memory_gib: float
    family: str = ""


@frozen
class Usage:
    """How much of a core quota is used."""

    family: str
    used: int
    limit: int
