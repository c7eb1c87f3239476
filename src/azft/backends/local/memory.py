"""What training takes on this machine, and whether it has that."""

from __future__ import annotations

from azft.backends.local.inputs import FOUR_BIT, LOAD_IN
from azft.domain.architecture import Architecture
from azft.domain.compute import Compute
from azft.domain.findings import Finding
from azft.domain.parameters import Parameters
from azft.domain.plan import Plan
from azft.rules.devices import processes_used
from azft.rules.memory import Training, fit_findings, row_length


def training_here(parameters: Parameters, *, longest: int, batch: int, checkpointing: bool) -> Training:
    """Return what the parameters mean for the memory of one process, for passes of `batch` rows of `longest` tokens."""
    lora = parameters.flag("apply_lora")
    return Training(
        lora_rank=parameters.integer("lora_r") if lora else 0,
        # Weights that an adapter leaves as they are stay in the 16 bit that they came in.
        regime="32" if parameters.text("precision") != "16" else "half" if lora else "mixed",
        stage=0,
        devices=1,
        batch=batch,
        sequence=longest,
        checkpointing=checkpointing,
        four_bit=lora and parameters.text(LOAD_IN) == FOUR_BIT,
        adafactor=parameters.text("optim") == "adafactor",
    )


def memory_findings(plan: Plan) -> tuple[Finding, ...]:
    """Return whether this machine holds what training takes at least; nothing where the model's shape is not known.

    Activations are computed again where that is needed, and a processor takes a row at a time.
    """
    shape = plan.model.architecture
    room, place = _room(plan.parameters, plan.compute)
    if shape is None or plan.model.stand_in or not room:
        return ()
    batch = plan.parameters.integer("per_device_train_batch_size") if plan.compute.gpus else 1
    how = training_here(plan.parameters, longest=_longest(plan, shape), batch=batch, checkpointing=True)
    return fit_findings(shape, how, room, "this machine", place=place)


def _room(parameters: Parameters, compute: Compute) -> tuple[float, str]:
    """Return the GiB that a process has, 0 where that is not known, and where."""
    if compute.gpus:
        return compute.gpu_memory_gib, "on each GPU"
    processes = processes_used(parameters, 0)
    return compute.memory_gib / processes, "of memory" if processes == 1 else f"of memory for each of {processes}"


def _longest(plan: Plan, shape: Architecture) -> int:
    look = plan.look
    return row_length(shape, plan.parameters, look.tokens if look else 0.0, look.longest if look else 0)
