"""The component's parameters in the words of transformers' Trainer."""

from __future__ import annotations

import math
import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch
from attrs import evolve, frozen
from transformers import TrainingArguments

from azft.domain.architecture import Architecture
from azft.domain.parameters import Parameters
from azft.engine.collate import micro_batch
from azft.engine.loading import has_bf16
from azft.rules.devices import processes_used
from azft.rules.engine import CHECKPOINTING, FOUR_BIT, LOAD_IN, SHARDING, training_here
from azft.rules.memory import GIB, memory_estimate
from azft.training.group import Group

_SAME_NAME = (
    "max_steps",
    "learning_rate",
    "warmup_steps",
    "weight_decay",
    "adam_beta1",
    "adam_beta2",
    "adam_epsilon",
    "lr_scheduler_type",
    "optim",
    "seed",
    "dataloader_num_workers",
    "max_grad_norm",
    "logging_strategy",
    "logging_steps",
)
"""Inputs that mean the same and are spelt the same on both sides."""


@frozen
class Batches:
    """Rows in one pass, and passes in one step: the rows of a step stay what the parameters say."""

    micro: int
    accumulation: int

    @property
    def step(self) -> int:
        """Rows of one step."""
        return self.micro * self.accumulation

    @property
    def halved(self) -> Batches | None:
        """The same step in smaller passes, None where a pass has one row already."""
        divisors = [size for size in range(1, self.micro) if self.micro % size == 0]
        return Batches(divisors[-1], self.accumulation * self.micro // divisors[-1]) if divisors else None


def batches_of(parameters: Parameters, mean_length: float) -> Batches:
    """Return how a step is run here: on a CPU as smaller passes, with the same losses, for rows of that mean length."""
    batch = parameters.integer("per_device_train_batch_size")
    micro = batch if torch.cuda.is_available() else micro_batch(batch, mean_length)
    return Batches(micro, parameters.integer("gradient_accumulation_steps") * (batch // micro))


def training_arguments(
    parameters: Parameters,
    working: Path,
    batches: Batches,
    group: Group,
    *,
    rows: int,
    evaluates: bool,
    checkpointing: bool,
    evaluated: int,
    unused: bool = False,
) -> TrainingArguments:
    """Return Trainer's arguments for an epoch of so many `rows`, which are packs where conversations are packed."""
    on_gpu = torch.cuda.is_available()
    strategy = parameters.text("evaluation_strategy") if evaluates else "disable"
    steps = _eval_steps(parameters, math.ceil(rows / (batches.step * group.size)))
    if parameters.number("evaluation_steps_interval") > 0 and strategy != "disable":
        strategy = "steps"
    save = "epoch" if strategy == "disable" else strategy
    half = parameters.text("precision") == "16"
    bf16 = half and (not on_gpu or has_bf16())
    settings: dict[str, Any] = {name: parameters[name] for name in _SAME_NAME}
    arguments = TrainingArguments(
        output_dir=str(working),
        num_train_epochs=parameters.integer("num_train_epochs"),
        per_device_train_batch_size=batches.micro,
        per_device_eval_batch_size=evaluated,
        gradient_accumulation_steps=batches.accumulation,
        gradient_checkpointing=checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        use_liger_kernel=on_gpu and find_spec("liger_kernel") is not None,
        eval_accumulation_steps=max(parameters.integer("eval_accumulation_steps"), 0) or None,
        full_determinism=parameters.flag("enable_full_determinism"),
        eval_strategy="no" if strategy == "disable" else strategy,
        save_strategy=save,
        eval_steps=steps,
        save_steps=steps,
        save_total_limit=None,
        # A part of the best checkpoint is on each machine alone.
        load_best_model_at_end=strategy != "disable" and not (group.sharded and _across_machines(group)),
        metric_for_best_model="loss" if strategy != "disable" else None,
        greater_is_better=False if strategy != "disable" else None,
        bf16=bf16,
        fp16=half and not bf16,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
        # How long nothing has become better is counted on where a training is resumed.
        restore_callback_states_from_checkpoint=True,
        report_to=[],
        disable_tqdm=True,
        **_together(group, on_gpu=on_gpu, unused=unused),
        **settings,
    )
    if group.size == 1 and arguments.n_gpu > 1:
        # With several GPUs in sight one process would split each batch among them (nn.DataParallel).
        arguments._n_gpu = 1
    return arguments


def _across_machines(group: Group) -> bool:
    """Return whether processes of other machines train, too, as a launcher's variables say."""
    return group.size > int(os.environ.get("LOCAL_WORLD_SIZE") or group.size)


def group_wanted(parameters: Parameters, shape: Architecture | None, *, longest: int, size: int = 0) -> Group:
    """Return the processes that train, one a device, and whether each keeps a part of the weights alone.

    `size` is how many there are, where that is decided. "auto" is on where one GPU would not hold them all, by the
    estimate for a row of the `longest` length.
    """
    size = size or processes_used(parameters, torch.cuda.device_count())
    said = parameters.text(SHARDING)
    too_large = (
        torch.cuda.is_available()
        and shape is not None
        and not _fits(parameters, shape, Group(size=size), longest=longest, batch=1, checkpointing=True)
    )
    whole = parameters.text(LOAD_IN) == FOUR_BIT
    return Group(size=size, sharded=size > 1 and not whole and (said == "on" or (said == "auto" and too_large)))


def _together(group: Group, *, on_gpu: bool, unused: bool) -> dict[str, Any]:
    """Return what Trainer is told of the processes that train together."""
    if group.size == 1:
        return {}
    sharding = {"version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP", "state_dict_type": "FULL_STATE_DICT"}
    return {
        "ddp_backend": "nccl" if on_gpu else "gloo",
        "ddp_find_unused_parameters": unused and not group.sharded,
        **({"fsdp": True, "fsdp_config": sharding} if group.sharded else {}),
    }


def checkpointing_wanted(
    parameters: Parameters, shape: Architecture | None, group: Group, *, longest: int, batch: int
) -> bool:
    """Return whether activations are computed again in the backward pass rather than kept.

    "auto" is on where what is kept would not fit: by the estimate for rows of the `longest` length, or on a GPU where
    the model's shape is not known.
    """
    said = parameters.text(CHECKPOINTING)
    if said != "auto":
        return said == "on"
    if shape is None:
        return torch.cuda.is_available()
    return not _fits(parameters, shape, group, longest=longest, batch=batch, checkpointing=False)


def _fits(
    parameters: Parameters, shape: Architecture, group: Group, *, longest: int, batch: int, checkpointing: bool
) -> bool:
    """Return whether a process's device, or its part of the memory, holds what training takes at most."""
    on_gpu = torch.cuda.is_available()
    room = (
        torch.cuda.get_device_properties(0).total_memory if on_gpu else psutil.virtual_memory().available / group.size
    )
    how = training_here(parameters, longest=longest, batch=batch, checkpointing=checkpointing)
    how = evolve(how, sharded=group.size if group.sharded else 1)
    return memory_estimate(shape, how).high * GIB <= room


def _eval_steps(parameters: Parameters, steps_per_epoch: int) -> int:
    """Return how many steps lie between evaluations; a fraction of an epoch takes precedence, as on Azure."""
    fraction = parameters.number("evaluation_steps_interval")
    return max(1, round(steps_per_epoch * fraction)) if fraction > 0 else parameters.integer("eval_steps")
