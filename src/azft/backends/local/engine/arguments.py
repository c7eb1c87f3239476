"""The component's parameters in the words of transformers' Trainer."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from transformers import TrainingArguments

from azft.domain.parameters import Parameters
from azft.engine.collate import micro_batch
from azft.engine.rows import Rows

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
    "auto_find_batch_size",
)
"""Inputs that mean the same and are spelt the same on both sides."""


def training_arguments(parameters: Parameters, working: Path, train: Rows, *, evaluates: bool) -> TrainingArguments:
    """Return Trainer's arguments; on a CPU a batch is run as smaller ones with accumulation, with the same losses."""
    batch = parameters.integer("per_device_train_batch_size")
    on_gpu = torch.cuda.is_available()
    mean = sum(train.lengths) / max(len(train), 1)
    micro = batch if on_gpu or parameters.flag("packing") else micro_batch(batch, mean)
    accumulation = parameters.integer("gradient_accumulation_steps") * (batch // micro)
    strategy = parameters.text("evaluation_strategy") if evaluates else "disable"
    steps = _eval_steps(parameters, math.ceil(len(train) / (micro * accumulation)))
    if parameters.number("evaluation_steps_interval") > 0 and strategy != "disable":
        strategy = "steps"
    save = "epoch" if strategy == "disable" else strategy
    half = parameters.text("precision") == "16"
    bf16 = half and (not on_gpu or torch.cuda.is_bf16_supported())
    settings: dict[str, Any] = {name: parameters[name] for name in _SAME_NAME}
    return TrainingArguments(
        output_dir=str(working),
        num_train_epochs=parameters.integer("num_train_epochs"),
        per_device_train_batch_size=micro,
        per_device_eval_batch_size=parameters.integer("per_device_eval_batch_size"),
        gradient_accumulation_steps=accumulation,
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


def _eval_steps(parameters: Parameters, steps_per_epoch: int) -> int:
    """Return how many steps lie between evaluations; a fraction of an epoch takes precedence, as on Azure."""
    fraction = parameters.number("evaluation_steps_interval")
    return max(1, round(steps_per_epoch * fraction)) if fraction > 0 else parameters.integer("eval_steps")
