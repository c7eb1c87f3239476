"""Stage 3: train with transformers' Trainer and peft, resume from sealed checkpoints, keep the best."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from transformers import EarlyStoppingCallback, Trainer, TrainingArguments

from azft.backends.local.engine import checkpoints
from azft.backends.local.engine.arguments import training_arguments
from azft.backends.local.engine.context import CanceledError, StageContext
from azft.backends.local.engine.reporting import RunReporter
from azft.domain.parameters import Parameters
from azft.engine.collate import PackedRows, Padded, collate_packed
from azft.engine.loading import context_limit, load_model, load_tokenizer, quiet, set_threads
from azft.engine.rows import Rows, read_rows
from azft.files import make_durable

PHI3_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
"""Phi-3 fuses its projections, and peft has no default targets for it."""


def finetune(context: StageContext, target: Path) -> None:
    """Train, and write the tuned model (merged, unless asked otherwise) and its adapter."""
    quiet()
    parameters = context.job.parameters
    set_threads(parameters.integer("threads"), context.folder / "threads.txt")
    tokenizer = load_tokenizer(context.folder / "import")
    base = load_model(context.folder / "import", trust_remote_code=context.trusted)
    base.config.use_cache = False
    model = with_adapter(base, parameters)
    working = context.folder / "checkpoints"
    train, validation = (
        read_rows(context.folder / "preprocess" / f"{split}.safetensors") for split in ("train", "validation")
    )
    evaluates = len(validation) > 0
    arguments = training_arguments(parameters, working, train, evaluates=evaluates)
    trainer = _trainer(context, model, tokenizer, arguments, train=train, validation=validation if evaluates else None)
    resume = checkpoints.newest_whole(working) if working.exists() else None
    if resume is not None:
        context.events.say("log", f"resumed from {resume.name}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if (context.folder / "cancel").exists():
        raise CanceledError
    _save(trainer.model, tokenizer, parameters, target)
    make_durable(target)
    _keep_only_asked(working, parameters, trainer.state.best_model_checkpoint)


def with_adapter(base: Any, parameters: Parameters) -> Any:
    """Return the model with LoRA adapters on its linear layers, or the model itself for full fine-tuning."""
    if not parameters.flag("apply_lora"):
        return base
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=parameters.integer("lora_r"),
        lora_alpha=parameters.integer("lora_alpha"),
        lora_dropout=parameters.number("lora_dropout"),
        target_modules=list(PHI3_TARGETS) if base.config.model_type == "phi3" else "all-linear",
        task_type="CAUSAL_LM",
    )
    import torch

    torch.manual_seed(parameters.integer("seed"))
    return get_peft_model(base, config)


def _trainer(
    context: StageContext,
    model: Any,
    tokenizer: Any,
    arguments: TrainingArguments,
    *,
    train: Rows,
    validation: Rows | None,
) -> Trainer:
    parameters = context.job.parameters
    limit = context_limit(context.folder / "import", parameters.integer("max_seq_length"))
    packed = parameters.flag("packing")
    padded = Padded(tokenizer.pad_token_id, limit if parameters.flag("pad_to_max_length") else 0)
    callbacks: list[Any] = [RunReporter(context, mean_tokens=float(sum(train.lengths)) / max(len(train), 1))]
    if parameters.flag("apply_early_stopping") and validation is not None:
        patience, threshold = (
            parameters.integer("early_stopping_patience"),
            parameters.number("early_stopping_threshold"),
        )
        callbacks.append(EarlyStoppingCallback(patience, threshold))
    rows: Any = PackedRows(train, limit) if packed else train
    held_out: Any = None if validation is None else (PackedRows(validation, limit) if packed else validation)
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=collate_packed if packed else padded,
        train_dataset=rows,
        eval_dataset=held_out,
        callbacks=callbacks,
    )
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _save(model: Any, tokenizer: Any, parameters: Parameters, target: Path) -> None:
    if parameters.flag("apply_lora"):
        model.save_pretrained(target / "adapter")
        if not parameters.flag("merge_lora_weights"):
            return
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.save_pretrained(target / "model")
    tokenizer.save_pretrained(target / "model")


def _keep_only_asked(working: Path, parameters: Parameters, best: str | None) -> None:
    """Leave as many checkpoints as `save_total_limit` asks for, now that the result is safe."""
    keep = parameters.integer("save_total_limit")
    if keep > 0:
        whole = sorted(working.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for checkpoint in whole[:-keep]:
            if best is None or checkpoint.name != Path(best).name:
                shutil.rmtree(checkpoint)
