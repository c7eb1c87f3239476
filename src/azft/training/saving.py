"""The result of a training: the tuned model, whole, in the type that its base had, and its adapter."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch

from azft.engine.loading import own_dtype
from azft.files import make_durable, whole_folder
from azft.training.task import Task

MODEL, ADAPTER = "model", "adapter"


def save(task: Task, model: Any, tokenizer: Any) -> None:
    """Write the result of a task, in the place of one that was written before."""
    aside = task.output.with_name(f"{task.output.name}-new")
    shutil.rmtree(aside, ignore_errors=True)
    with whole_folder(aside) as folder:
        write_model(task, model, tokenizer, folder)
    shutil.rmtree(task.output, ignore_errors=True)
    aside.rename(task.output)


def write_model(task: Task, model: Any, tokenizer: Any, target: Path) -> None:
    """Write the adapter, if there is one, and the whole model unless it is to stay apart."""
    if hasattr(model, "peft_config"):
        model.save_pretrained(target / ADAPTER)
        if not task.parameters.flag("merge_lora_weights"):
            make_durable(target)
            return
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.to(getattr(torch, own_dtype(task.model))).save_pretrained(target / MODEL)
    tokenizer.save_pretrained(target / MODEL)
    make_durable(target)
