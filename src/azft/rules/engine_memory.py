"""What a training by azft's engine takes, and whether the machine has that."""

from __future__ import annotations

from attrs import evolve

from azft.domain.architecture import Architecture
from azft.domain.compute import Compute
from azft.domain.findings import Finding
from azft.domain.forecast import MemoryLook
from azft.domain.parameters import Parameters
from azft.domain.plan import Plan
from azft.rules.devices import processes_used
from azft.rules.engine import FOUR_BIT, LOAD_IN, SHARDING, training_here
from azft.rules.memory import RESERVE_GIB, Training, fit_findings, memory_estimate, row_length

HALF = 2
"""Bytes of a weight as it is evaluated and saved: in 16 bit, as checkpoints of these sizes are."""


def memory_findings(plan: Plan, *, subject: str = "this machine") -> tuple[Finding, ...]:
    """Return whether the machine holds what training takes at least; nothing where the model's shape is not known.

    Activations are computed again where that is needed, and a processor takes a row at a time.
    """
    shape = plan.model.architecture
    room, place = _room(plan.parameters, plan.compute)
    if shape is None or plan.model.stand_in or not room:
        return ()
    on_gpu = plan.compute.gpus > 0
    how = smallest_training(plan)
    return (
        *fit_findings(shape, how, room, subject, place=place),
        *(_whole(shape, how, room, subject) if on_gpu else ()),
    )


def memory_ahead(plan: Plan) -> MemoryLook | None:
    """Return what each GPU is to hold at least, where the model's shape and the machine's GPUs are known."""
    shape, compute = plan.model.architecture, plan.compute
    if shape is None or plan.model.stand_in or not compute.gpus:
        return None
    estimate = memory_estimate(shape, smallest_training(plan))
    room = compute.gpu_memory_gib - RESERVE_GIB if compute.gpu_memory_gib else 0.0
    return MemoryLook(estimate.low, estimate.high, room)


def smallest_training(plan: Plan) -> Training:
    """Return the training as the engine does it where memory is short."""
    parameters, on_gpu, shape = plan.parameters, plan.compute.gpus > 0, plan.model.architecture
    if shape is None:
        raise ValueError("a training of an unknown shape cannot be described")
    batch = parameters.integer("per_device_train_batch_size")
    smallest = 1 if not on_gpu or parameters.flag("auto_find_batch_size") else batch
    how = training_here(parameters, longest=_longest(plan, shape), batch=smallest, checkpointing=True)
    processes = processes_used(parameters, plan.compute.gpus) * plan.nodes
    if on_gpu and parameters.text(SHARDING) != "off" and parameters.text(LOAD_IN) != FOUR_BIT:
        how = evolve(how, sharded=processes)
    return how


def _whole(shape: Architecture, how: Training, room: float, subject: str) -> tuple[Finding, ...]:
    """Say where a model that several GPUs train does not fit on the one that evaluates and saves it."""
    needed = shape.parameters * HALF / (1 << 30)
    if how.sharded == 1 or needed <= room - RESERVE_GIB:
        return ()
    found = f"the evaluation loads the whole model, {needed:.0f} GiB of weights, on one GPU of {room:.0f} GiB"
    fix = "a smaller model, or larger GPUs"
    return (Finding("AZFT-G005", "error", subject, found, f"at most {room - RESERVE_GIB:.0f} GiB", fix),)


def _room(parameters: Parameters, compute: Compute) -> tuple[float, str]:
    """Return the GiB that a process has, 0 where that is not known, and where."""
    if compute.gpus:
        return compute.gpu_memory_gib, "on each GPU"
    processes = processes_used(parameters, 0)
    return compute.memory_gib / processes, "of memory" if processes == 1 else f"of memory for each of {processes}"


def _longest(plan: Plan, shape: Architecture) -> int:
    look = plan.look
    longest = row_length(shape, plan.parameters, look.tokens if look else 0.0, look.longest if look else 0)
    packed = plan.parameters.integer("pack_length") if plan.parameters.flag("packing") else 0
    return max(longest, packed)
