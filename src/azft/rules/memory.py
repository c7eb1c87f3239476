"""How much memory tuning a model takes on each device, from the model's shape.

Peak = weights + optimizer state + the larger of two moments: the logits of the loss with everything kept for the
backward pass, or all gradients with one layer being worked on. Bytes for each token and hidden unit were fitted to
peaks counted by torch for networks of the Phi-3 architecture (benchmarks/memory.py); attention does not keep its
scores. What the CUDA context, the allocator's slack and communication buffers take comes on top, as `RESERVE_GIB`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import evolve, frozen

from azft.domain.architecture import Architecture
from azft.domain.compute import Compute
from azft.domain.findings import Finding, Severity
from azft.domain.forecast import MemoryLook
from azft.domain.model import Model
from azft.domain.offers import Fit
from azft.domain.parameters import Parameters

GIB = 2**30
BAND = 0.2
"""The estimate's stated error: the peak lies within this fraction of it, on every case measured."""
SHARDED_WEIGHTS = 3
"""The ZeRO stage that shares the weights out as well."""
RESERVE_GIB = 2.0
"""CUDA context, allocator slack and communication buffers, on a GPU."""
TYPICAL = 2048
"""Tokens of a row where the data was not looked at."""
TAIL = 4
"""The longest row in multiples of the mean, where it is not known: of chats, 99 % are within 3.4 times the mean."""
ADAM, ADAFACTOR = 8, 0.1
"""Bytes of optimizer state for each trained weight in 32 bit."""

Regime = Literal["32", "mixed", "half"]
_WEIGHT = {"32": 4, "mixed": 4, "half": 2}
_HIDDEN = {"32": 46, "mixed": 29, "half": 31}
_HIDDEN_TRAINED = {"32": 10, "mixed": 10, "half": 1}
"""Bytes for each token and hidden unit of a layer, and how many more where its own weights are trained."""
_INNER = {"32": 17, "mixed": 8.7, "half": 10}
_LOGITS = 12
"""Bytes for each token and word of the vocabulary: the loss's logits in 32 bit, their softmax and their gradient."""
_READ = 10
"""The same where nothing is trained: logits as they come, in 32 bit, and their logarithms."""
_HOST = {2: 16, 3: 18}
"""Bytes of host memory for each trained weight that DeepSpeed moves there (its estimate_zero2 and zero3 functions)."""
BUFFERS = 1.5
"""What DeepSpeed's own estimate adds for buffers."""
_WORKED_FULL = {"32": 1.2, "mixed": 1.0, "half": 1.2}
_WORKED_LORA = {"32": 1.3, "mixed": 1.4, "half": 1.8}
"""What a layer's recomputation and gradients take, in multiples of what it keeps."""
_VERDICTS: Mapping[Fit, tuple[str, Severity]] = {"no": ("AZFT-G001", "error"), "tight": ("AZFT-G002", "warning")}
_HOST_VERDICTS: Mapping[bool, tuple[str, Severity]] = {
    True: ("AZFT-G003", "error"),
    False: ("AZFT-G004", "warning"),
}
CHECKPOINTED = frozenset(("llama", "falcon", "mistral", "mixtral", "phi-longrope", "phi3mini", "llama4"))
"""Kinds of model for which the component's finetune.py turns gradient checkpointing on (azureml-acft-hf-components)."""
_SPLIT = 1.2
_ADAPTED = {"phi3": 1.0, "llama": 1.17, "mistral": 1.17, "qwen2": 1.14, "qwen3": 1.4, "gemma2": 1.4}
"""What a layer with adapters keeps in 16 bit, against one of Phi-3, whose projections are fused.

Where they are separate, each has an adapter and copies of its own. Counted on models at their full size
(benchmarks/memory.py); `_SPLIT` is for kinds that were not.
"""
_CAPPED = {"gemma2": {"32": 8, "mixed": 4, "half": 4}}
"""Bytes for each logit that a soft cap keeps."""
NF4 = 0.5 + 4 / 64
"""Bytes of a weight in NF4: four bits, and a 32-bit scale for each 64 of them (QLoRA, arXiv 2305.14314)."""
_DOUBT = "which is not known for this kind of model"
_RESIDUAL = {"32": 4, "mixed": 4, "half": 2}


@frozen
class Training:
    """What decides the memory: how, on how many GPUs, and with how many tokens at once.

    `batch` and `evaluated` are the rows of `sequence` tokens that are trained on and evaluated on at once. Where it is
    not `certain` that activations are kept, they may be computed again: `checkpointing` is False then. With `four_bit`
    the linear layers that LoRA leaves as they are take 4 bit a weight; among so many `sharded` processes weights,
    gradients and optimizer are shared out (FSDP).
    """

    lora_rank: int
    regime: Regime
    stage: int
    devices: int
    batch: int
    sequence: int
    checkpointing: bool
    adafactor: bool = False
    evaluated: int = 0
    certain: bool = True
    four_bit: bool = False
    sharded: int = 1


@frozen
class MemoryEstimate:
    """GiB on each device, by what takes it; `low` and `high` are the ends of the stated band."""

    weights: float
    gradients: float
    optimizer: float
    activations: float
    total: float
    low: float
    high: float

    def fit(self, gpu_memory_gib: float) -> Fit:
        """Return whether it fits in the memory of a GPU: "tight" where the limit lies within the band."""
        room = gpu_memory_gib - RESERVE_GIB
        return "fits" if self.high <= room else "no" if self.low > room else "tight"

    def __str__(self) -> str:
        return (
            f"about {self.total:.1f} GiB ({self.low:.1f} to {self.high:.1f}): weights {self.weights:.1f}, "
            f"gradients {self.gradients:.1f}, optimizer {self.optimizer:.1f}, activations {self.activations:.1f}"
        )


def training_of(parameters: Parameters, *, kind: str, devices: int, sequence: int) -> Training:
    """Return what the parameters mean for memory, in the component that Azure ML runs.

    It computes activations again (gradient checkpointing) for the `kind`s of model that its finetune.py names, but for
    LoRA without DeepSpeed; for others a configuration in the model's folder may ask for it, which is not public.
    """
    deepspeed = parameters.flag("apply_deepspeed")
    half = parameters.text("precision") == "16"
    lora = parameters.flag("apply_lora")
    may = deepspeed or not lora
    return Training(
        lora_rank=parameters.integer("lora_r") if lora else 0,
        regime="32" if not half else "half" if deepspeed else "mixed",
        stage=int(parameters.text("deepspeed_stage") or 0) if deepspeed else 0,
        devices=devices,
        batch=parameters.integer("per_device_train_batch_size"),
        sequence=sequence,
        checkpointing=may and kind in CHECKPOINTED,
        certain=kind in CHECKPOINTED or not may,
        adafactor=parameters.text("optim") == "adafactor",
        evaluated=parameters.integer("per_device_eval_batch_size"),
    )


def row_length(shape: Architecture, parameters: Parameters, tokens: float, longest: int = 0) -> int:
    """Return the tokens of the longest row that comes, within what is read: one row decides whether memory is enough.

    `longest` is that of the data, 0 where it is not known; then it is `TAIL` times the mean, or `TYPICAL` without one.
    Rows that are padded to the longest possible one are as long as that.
    """
    limit = parameters.integer("max_seq_length")
    most = min(limit, shape.context) if limit > 0 else shape.context
    if parameters.flag("pad_to_max_length"):
        return most
    return max(1, min(most, longest or int(TAIL * tokens) or TYPICAL))


def memory_estimate(shape: Architecture, how: Training) -> MemoryEstimate:
    """Return the peak on each device.

    >>> phi3 = Architecture(3072, 32, 32, 32, 8192, 32064, 4096)
    >>> how = Training(8, "half", 2, 1, batch=1, sequence=2048, checkpointing=True)
    >>> 8 < memory_estimate(phi3, how).total < 11
    True
    """
    added = shape.adapter_parameters(how.lora_rank) if how.lora_rank else 0
    trained = added or shape.parameters
    width = _WEIGHT[how.regime]
    weights: float = (_in_four_bits(shape) if how.four_bit else shape.parameters * width) + added * width
    # Copies in 16 bit: of weights that are trained, and where everything is kept for the backward pass, of all.
    if how.regime == "mixed" and not (added and how.checkpointing):
        weights += shape.parameters * 2
    gradients: float = trained * width
    optimizer = 0.0 if how.stage else trained * (ADAFACTOR if how.adafactor else ADAM)
    if how.stage == SHARDED_WEIGHTS:
        weights /= how.devices
    if how.stage:
        gradients /= how.devices
    weights, gradients, optimizer = (taken / how.sharded for taken in (weights, gradients, optimizer))
    layer = _layer(shape, how)
    worked_on = layer * (_WORKED_LORA if how.lora_rank else _WORKED_FULL)[how.regime]
    kept: float = how.batch * how.sequence * shape.hidden * _RESIDUAL[how.regime] * shape.layers
    if not how.checkpointing:
        kept = layer * shape.layers
    logits = how.batch * how.sequence * shape.vocabulary * (_LOGITS + _CAPPED.get(shape.kind, {}).get(how.regime, 0))
    head = 0 if how.lora_rank else shape.vocabulary * shape.hidden * width
    loss = kept + (max(logits, worked_on) if how.checkpointing else logits) + head
    read = how.evaluated * how.sequence * shape.vocabulary * _READ
    worked = max(loss, gradients + worked_on, read)
    total = (weights + optimizer + worked) / GIB
    low = total * (1 - BAND)
    if not how.certain:
        low = memory_estimate(shape, evolve(how, checkpointing=True, certain=True)).low
    return MemoryEstimate(
        weights / GIB,
        gradients / GIB,
        optimizer / GIB,
        (worked - (gradients if worked == gradients + worked_on else 0)) / GIB,
        total,
        low,
        total * (1 + BAND),
    )


def _in_four_bits(shape: Architecture) -> float:
    """Return the bytes of NF4 weights: embeddings, head, and experts, which are one tensor, stay in 16 bit."""
    whole = shape.vocabulary * shape.hidden * (1 if shape.tied else 2)
    if shape.experts > 1:
        whole += shape.layers * 3 * shape.hidden * shape.intermediate * shape.experts
    return whole * 2 + (shape.parameters - whole) * NF4


def host_memory(shape: Architecture, how: Training, *, nodes: int) -> tuple[float, float]:
    """Return the GiB of each node's host memory that training takes, without and with buffers; 0 without DeepSpeed.

    The component's DeepSpeed configurations put the optimizer there, and with stage 3 the weights too.

    >>> phi4 = Architecture(5120, 40, 40, 10, 17920, 100352, 16384)
    >>> how = Training(0, "half", 3, 1, batch=1, sequence=2048, checkpointing=True)
    >>> [round(end) for end in host_memory(phi4, how, nodes=1)]
    [246, 369]
    """
    if not how.stage:
        return 0.0, 0.0
    trained = shape.adapter_parameters(how.lora_rank) if how.lora_rank else shape.parameters
    taken = float(trained * _HOST.get(how.stage, _HOST[2]))
    if how.stage == SHARDED_WEIGHTS and how.lora_rank:
        taken += shape.parameters * 2
    low = taken / max(nodes, 1) / GIB
    return low, low * BUFFERS


def host_findings(
    shape: Architecture, how: Training, *, nodes: int, memory_gib: float, subject: str
) -> tuple[Finding, ...]:
    """Return whether a node's host memory holds what DeepSpeed puts there; nothing where its size is not known."""
    low, high = host_memory(shape, how, nodes=nodes)
    if not memory_gib or high <= memory_gib:
        return ()
    code, severity = _HOST_VERDICTS[low > memory_gib]
    found = f"DeepSpeed puts about {low:.0f} to {high:.0f} GiB into the host memory of each node, the optimizer's state"
    fix = "apply_lora=True; a machine with more memory; more nodes; apply_deepspeed=False where the GPUs hold it"
    return (Finding(code, severity, subject, found, f"at most {memory_gib:.0f} GiB", fix),)


def memory_look(
    model: Model,
    parameters: Parameters,
    compute: Compute,
    *,
    gpus: int,
    nodes: int,
    tokens: float,
    longest: int = 0,
) -> MemoryLook | None:
    """Return what each of the `gpus` of a node is to hold, where the model's shape and the machine's GPUs are known."""
    shape = model.architecture
    if shape is None or not (model.tuned_by_registry and compute.gpus):
        return None
    length = row_length(shape, parameters, tokens, longest)
    how = training_of(parameters, kind=shape.kind, devices=gpus * nodes, sequence=length)
    estimate = memory_estimate(shape, how)
    room = compute.gpu_memory_gib - RESERVE_GIB if compute.gpu_memory_gib else 0.0
    return MemoryLook(estimate.low, estimate.high, room)


def _layer(shape: Architecture, how: Training) -> float:
    """Return the bytes one layer keeps for its backward pass."""
    hidden = _HIDDEN[how.regime] + (0 if how.lora_rank else _HIDDEN_TRAINED[how.regime])
    inner = shape.intermediate * min(shape.experts, 2)
    layer = how.batch * how.sequence * (hidden * shape.hidden + _INNER[how.regime] * inner)
    return layer * _ADAPTED.get(shape.kind, _SPLIT) if how.lora_rank and how.regime != "32" else layer


def fit_findings(
    shape: Architecture, how: Training, gpu_memory_gib: float, subject: str, *, place: str = "on each GPU"
) -> tuple[Finding, ...]:
    """Return whether the job fits: an error where even the low end does not, a warning within the band."""
    estimate = memory_estimate(shape, how)
    room = gpu_memory_gib - RESERVE_GIB
    fit = estimate.fit(gpu_memory_gib)
    if fit == "fits":
        return ()
    expected = f"at most {room:.0f} of {gpu_memory_gib:.0f} GiB {place}"
    more = "larger GPUs" if "GPU" in place else "a machine with more memory"
    fix = "; ".join((*_cures(how), more))
    code, severity = _VERDICTS[fit]
    doubt = "" if how.certain else f"; the low end where the component computes activations again, {_DOUBT}"
    return (Finding(code, severity, subject, f"needs {estimate}{doubt}", expected, fix),)


def _cures(how: Training) -> list[str]:
    """Return what would take less memory, the least painful first."""
    cures = []
    if how.batch > 1:
        cures.append("a smaller per_device_train_batch_size with more gradient_accumulation_steps")
    if how.regime == "32":
        cures.append("precision='16'")
    if not how.lora_rank:
        cures.append("apply_lora=True")
    if how.stage != SHARDED_WEIGHTS and how.devices > 1:
        cures.append("apply_deepspeed=True with deepspeed_stage='3'")
    return [*cures, "a shorter max_seq_length"]
