"""The processes that train together: which of them this is, and how they agree."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, TypeVar

import torch
from attrs import frozen
from torch import distributed

T = TypeVar("T")
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others: machines do not bring a model at the same speed."""
MEETING = "AZFT_MEETING"
"""The environment variable with the place where the processes of a script meet, a file; torch's own without it."""


@frozen
class Group:
    """One process or several; where they are `sharded`, each keeps a part of the weights alone (FSDP2)."""

    rank: int = 0
    size: int = 1
    sharded: bool = False

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    def agreed(self, value: T) -> T:
        """Return what the first process says: what each sees for itself, such as a file, differs for a moment."""
        if self.size == 1:
            return value
        said = [value]
        distributed.broadcast_object_list(said, src=0, device=_device())
        return said[0]

    def gathered(self, value: T) -> list[T]:
        """Return what each process says, in their order."""
        if self.size == 1:
            return [value]
        said: list[T] = [value] * self.size
        distributed.all_gather_object(said, value)
        return said

    def wait(self) -> None:
        """Wait until every process has come this far."""
        if self.size > 1:
            distributed.barrier()

    def shard(self, arguments: Any) -> None:
        """Make accelerate shard on a CPU, too: it takes every device but that for one of several."""
        if self.sharded and arguments.device.type == "cpu":
            from accelerate import PartialState
            from accelerate.utils import DistributedType

            # accelerate 1.15 asks for this kind before it looks at the sharding that was asked for.
            PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def joined(rank: int, size: int) -> Group:
    """Return the group that this process trains in, and join it where nobody did: as the environment says (`env://`)."""
    if size > 1 and not distributed.is_initialized():
        on_gpu = torch.cuda.is_available()
        if on_gpu:
            torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        else:
            # accelerate would say "cpu:1", which torch cannot load an optimizer's state for.
            os.environ["ACCELERATE_TORCH_DEVICE"] = "cpu"
        meeting = os.environ.get(MEETING)
        distributed.init_process_group(
            "nccl" if on_gpu else "gloo", init_method=meeting, rank=rank, world_size=size, timeout=PATIENCE
        )
    return Group(rank, size)


def _device() -> torch.device:
    return torch.device("cuda", torch.cuda.current_device()) if torch.cuda.is_available() else torch.device("cpu")
