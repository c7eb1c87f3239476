"""Stage 3: train with transformers' Trainer and peft, resume from sealed checkpoints, keep the best."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
import torch
from attrs import frozen
from transformers import EarlyStoppingCallback, Trainer

from azft.backends.local.engine import checkpoints
from azft.backends.local.engine.arguments import Batches, batches_of, checkpointing_wanted, training_arguments
from azft.backends.local.engine.context import CanceledError, StageContext
from azft.backends.local.engine.reporting import RunReporter
from azft.domain.parameters import Parameters
from azft.engine.adapters import adapted_share, with_adapter
from azft.engine.apart import kept_apart
from azft.engine.collate import Packed, PackedRows, Padded
from azft.engine.loading import context_limit, load_model, load_tokenizer, own_dtype, quiet, set_threads
from azft.engine.rows import Rows, read_rows
from azft.files import make_durable
from azft.rules.shapes import shape_of

VARIABLE_LENGTH = "flash_attention_2"
FEW = 8
"""Conversations in a packed row from which on the steps of an epoch are so few that it is said."""
MOST_ADAPTED = 0.5
"""Share of the weights beside embeddings below which LoRA leaves out what a user would expect it to reach."""


@frozen
class Reading:
    """What is trained on: rows to learn from and to evaluate on, how they become tensors, and their lengths."""

    train: Any
    held_out: Any
    collate: Any
    mean: float
    longest: int


def finetune(context: StageContext, target: Path) -> None:
    """Train, and write the tuned model (merged, unless asked otherwise) and its adapter."""
    quiet()
    parameters = context.job.parameters
    set_threads(parameters.integer("threads"), context.folder / "threads.txt")
    tokenizer = load_tokenizer(context.folder / "import")
    working = context.folder / "checkpoints"
    train, validation = (
        read_rows(context.folder / "preprocess" / f"{split}.safetensors") for split in ("train", "validation")
    )

    def trained(batches: Batches | None) -> Any:
        model = _model(context)
        reading = _reading(context, model, tokenizer.pad_token_id, train, validation)
        if batches is None:
            batches = batches_of(parameters, reading.mean)
        trainer = _trainer(context, model, reading, batches)
        resume = checkpoints.newest_whole(working) if working.exists() else None
        if resume is not None:
            context.events.say("log", f"resumed from {resume.name}")
        try:
            trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        except torch.OutOfMemoryError as error:
            raise _TooLargeError(batches) from error
        return trainer

    trainer = _fitting(trained, context, shrinks=parameters.flag("auto_find_batch_size"))
    if (context.folder / "cancel").exists():
        raise CanceledError
    _save(trainer.model, tokenizer, parameters, target, dtype=own_dtype(context.folder / "import"))
    make_durable(target)
    _keep_only_asked(working, parameters, trainer.state.best_model_checkpoint)


class _TooLargeError(Exception):
    """A pass did not fit in memory."""

    def __init__(self, batches: Batches) -> None:
        super().__init__(f"a pass of {batches.micro} rows does not fit in memory")
        self.batches = batches


def _fitting(train: Callable[[Batches | None], Any], context: StageContext, *, shrinks: bool) -> Any:
    """Return what `train` brings; where it runs out of memory and may shrink, again with smaller passes.

    The rows of a step stay the same, as more of the passes are accumulated: what is learned does not change silently.
    """
    batches: Batches | None = None
    while True:
        try:
            return train(batches)
        except _TooLargeError as error:
            smaller = error.batches.halved if shrinks else None
            if smaller is None:
                raise error.__cause__ or error from None
            context.events.say(
                "warning",
                f"{error}: the step of {smaller.step} rows is now {smaller.accumulation} passes of {smaller.micro}",
            )
            batches = smaller
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _model(context: StageContext) -> Any:
    """Return the model to train: weights that are trained are kept in 32 bit, or updates would be rounded away."""
    parameters = context.job.parameters
    frozen_base = parameters.flag("apply_lora") and parameters.text("precision") == "16"
    flash = torch.cuda.is_available() and frozen_base and find_spec("flash_attn") is not None
    base = load_model(
        context.folder / "import",
        trust_remote_code=context.trusted,
        dtype="auto" if frozen_base else "float32",
        attention=VARIABLE_LENGTH if flash else None,
    )
    base.config.use_cache = False
    model = with_adapter(base, parameters)
    if parameters.flag("apply_lora"):
        part = adapted_share(model)
        said = f"LoRA adapts {part:.0%} of the weights beside embeddings"
        if part < MOST_ADAPTED:
            context.events.say("warning", f"{said}: experts that are one fused tensor are left as they are")
        else:
            context.events.say("log", said)
    return model


def _reading(context: StageContext, model: Any, pad: int, train: Rows, validation: Rows) -> Reading:
    """Return the rows as they are read: packed where that was asked for and the model keeps conversations apart."""
    parameters = context.job.parameters
    held_out = validation if len(validation) else None
    longest = max(train.lengths, default=1)
    flat = getattr(model.config, "_attn_implementation", "") == VARIABLE_LENGTH
    if parameters.flag("packing") and not kept_apart(model, train, pad, flat=flat):
        context.events.say(
            "warning",
            f"nothing is packed: {model.config.model_type} lets packed conversations read each other (tried on two)",
        )
    elif parameters.flag("packing"):
        capacity = max(parameters.integer("pack_length"), longest)
        packs = PackedRows(train, capacity)
        packed = f"{len(train):,} conversations packed into {len(packs):,} rows of up to {capacity:,} tokens"
        few = len(packs) * FEW < len(train)
        fix = "; an epoch has that many steps fewer: a shorter pack_length or a smaller batch makes more" if few else ""
        context.events.say("warning" if few else "log", f"{packed}{fix}")
        mean = sum(train.lengths) / max(len(packs), 1)
        return Reading(packs, held_out and PackedRows(held_out, capacity), Packed(pad, flat), mean, capacity)
    limit = context_limit(context.folder / "import", parameters.integer("max_seq_length"))
    padded = limit if parameters.flag("pad_to_max_length") else 0
    mean = sum(train.lengths) / max(len(train), 1)
    return Reading(train, held_out, Padded(pad, padded), mean, max(padded, longest))


def _trainer(context: StageContext, model: Any, reading: Reading, batches: Batches) -> Trainer:
    parameters = context.job.parameters
    config = orjson.loads((context.folder / "import" / "config.json").read_bytes())
    checkpointing = getattr(model, "supports_gradient_checkpointing", False) and checkpointing_wanted(
        parameters, shape_of(config), longest=reading.longest, batch=batches.micro
    )
    if checkpointing:
        context.events.say("log", "activations are computed again rather than kept (gradient checkpointing)")
    arguments = training_arguments(
        parameters,
        context.folder / "checkpoints",
        batches,
        rows=len(reading.train),
        evaluates=reading.held_out is not None,
        checkpointing=checkpointing,
    )
    callbacks: list[Any] = [RunReporter(context, mean_tokens=reading.mean)]
    if parameters.flag("apply_early_stopping"):
        if arguments.load_best_model_at_end:
            patience = parameters.integer("early_stopping_patience")
            callbacks.append(EarlyStoppingCallback(patience, parameters.number("early_stopping_threshold")))
        else:
            context.events.say("warning", "nothing is evaluated while training, so nothing stops it early")
    trainer = Trainer(
        model=model,
        args=arguments,
        data_collator=reading.collate,
        train_dataset=reading.train,
        eval_dataset=reading.held_out,
        callbacks=callbacks,
    )
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


def _save(model: Any, tokenizer: Any, parameters: Parameters, target: Path, *, dtype: str) -> None:
    """Save the adapter, if there is one, and the whole model in the type that its checkpoint had."""
    if parameters.flag("apply_lora"):
        model.save_pretrained(target / "adapter")
        if not parameters.flag("merge_lora_weights"):
            return
        model = model.merge_and_unload()
    model.config.use_cache = True
    model.to(getattr(torch, dtype)).save_pretrained(target / "model")
    tokenizer.save_pretrained(target / "model")


def _keep_only_asked(working: Path, parameters: Parameters, best: str | None) -> None:
    """Leave as many checkpoints as `save_total_limit` asks for, now that the result is safe."""
    keep = parameters.integer("save_total_limit")
    if keep > 0:
        whole = sorted(working.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for checkpoint in whole[:-keep]:
            if best is None or checkpoint.name != Path(best).name:
                shutil.rmtree(checkpoint)
