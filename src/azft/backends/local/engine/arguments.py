"""The component's parameters in the words of transformers' Trainer."""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psutil
import torch
from attrs import frozen
from transformers import TrainingArguments

from azft.backends.local.inputs import CHECKPOINTING
from azft.domain.architecture import Architecture
from azft.domain.parameters import Parameters
from azft.engine.collate import micro_batch
from azft.rules.memory import GIB, Training, memory_estimate

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
    parameters: Parameters, working: Path, batches: Batches, *, rows: int, evaluates: bool, checkpointing: bool
) -> TrainingArguments:
    """Return Trainer's arguments for an epoch of so many `rows`, which are packs where conversations are packed."""
    on_gpu = torch.cuda.is_available()
    strategy = parameters.text("evaluation_strategy") if evaluates else "disable"
    steps = _eval_steps(parameters, math.ceil(rows / batches.step))
    if parameters.number("evaluation_steps_interval") > 0 and strategy != "disable":
        strategy = "steps"
    save = "epoch" if strategy == "disable" else strategy
    half = parameters.text("precision") == "16"
    bf16 = half and (not on_gpu or torch.cuda.is_bf16_supported())
    settings: dict[str, Any] = {name: parameters[name] for name in _SAME_NAME}
    return TrainingArguments(
        output_dir=str(working),
        num_train_epochs=parameters.integer("num_train_epochs"),
        per_device_train_batch_size=batches.micro,
        per_device_eval_batch_size=parameters.integer("per_device_eval_batch_size"),
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
        load_best_model_at_end=strategy != "disable",
        metric_for_best_model="loss" if strategy != "disable" else None,
        greater_is_better=False if strategy != "disable" else None,
        bf16=bf16,
        fp16=half and not bf16,
        use_cpu=not on_gpu,
        dataloader_pin_memory=on_gpu,
        remove_unused_columns=False,
        label_names=["labels"],
        prediction_loss_only=True,
        report_to=[],
        disable_tqdm=True,
        **settings,
    )


def checkpointing_wanted(parameters: Parameters, shape: Architecture | None, *, longest: int, batch: int) -> bool:
    """Return whether activations are computed again in the backward pass rather than kept.

    "auto" is on where what is kept would not fit: by the estimate for rows of the `longest` length, or on a GPU where
    the model's shape is not known.
    """
    said = parameters.text(CHECKPOINTING)
    if said != "auto":
        return said == "on"
    on_gpu = torch.cuda.is_available()
    if shape is None:
        return on_gpu
    room = torch.cuda.get_device_properties(0).total_memory if on_gpu else psutil.virtual_memory().available
    how = Training(
        lora_rank=parameters.integer("lora_r") if parameters.flag("apply_lora") else 0,
        regime="mixed" if parameters.text("precision") == "16" else "32",
        stage=0,
        devices=1,
        batch=batch,
        sequence=longest,
        checkpointing=False,
        adafactor=parameters.text("optim") == "adafactor",
    )
    return memory_estimate(shape, how).high * GIB > room


def _eval_steps(parameters: Parameters, steps_per_epoch: int) -> int:
    """Return how many steps lie between evaluations; a fraction of an epoch takes precedence, as on Azure."""
    fraction = parameters.number("evaluation_steps_interval")
    return max(1, round(steps_per_epoch * fraction)) if fraction > 0 else parameters.integer("eval_steps")
