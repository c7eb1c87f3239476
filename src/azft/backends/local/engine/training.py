"""What one process does to train: its model, its rows, transformers' Trainer, and the checkpoint it goes on from."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import torch
from attrs import frozen
from transformers import EarlyStoppingCallback, Trainer

from azft.backends.local.engine import checkpoints
from azft.backends.local.engine.arguments import Batches, batches_of, checkpointing_wanted, training_arguments
from azft.backends.local.engine.context import CanceledError, StageContext
from azft.backends.local.engine.group import Group
from azft.backends.local.engine.reporting import RunReporter
from azft.backends.local.inputs import FOUR_BIT, LOAD_IN
from azft.engine.adapters import adapted_share, with_adapter
from azft.engine.apart import kept_apart
from azft.engine.collate import Packed, PackedRows, Padded
from azft.engine.loading import config_in, context_limit, load_model, load_tokenizer, quiet, set_threads
from azft.engine.losses import loss_in_parts
from azft.engine.rows import Rows, read_rows
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


class _Trainer(Trainer):
    """Trainer that does no step more where it goes on from a checkpoint of a training that was `over`."""

    over = False

    def _run_epoch(self, *places: Any, **given: Any) -> Any:
        if self.over:
            self.control.should_training_stop = True
            return None
        return super()._run_epoch(*places, **given)  # type: ignore[no-untyped-call]


def train(context: StageContext, group: Group, shrunk: int = 0) -> Trainer:
    """Train until the end, going on from the newest whole checkpoint; `shrunk` is how often a pass was too large.

    Errors: `CanceledError`; `torch.OutOfMemoryError`, where smaller passes may be tried.
    """
    quiet()
    parameters = context.job.parameters
    set_threads(parameters.integer("threads"), context.folder / "threads.txt", processes=group.size)
    tokenizer = load_tokenizer(context.folder / "import")
    working = context.folder / "checkpoints"
    rows, validation = (read_rows(context.folder / "preprocess" / split) for split in ("train", "validation"))
    model = _model(context, group)
    reading = _reading(context, model, tokenizer.pad_token_id, rows, validation, group=group)
    batches = _shrunk(batches_of(parameters, reading.mean), shrunk, context)
    trainer = _trainer(context, model, reading, batches, group=group, shrunk=shrunk)
    resume = group.agreed(checkpoints.newest_whole(working) if group.first and working.exists() else None)
    if resume is not None:
        context.events.say("log", f"resumed from {resume.name}")
        trainer.over = checkpoints.is_last(resume)
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if group.agreed((context.folder / "cancel").exists()):
        raise CanceledError
    return trainer


def _shrunk(batches: Batches, times: int, context: StageContext) -> Batches:
    """Return the same step in smaller passes: what is learned does not change silently."""
    if not times:
        return batches
    whole = _shrunk(batches, times - 1, context)
    smaller = whole.halved
    if smaller is None:
        raise RuntimeError("CUDA out of memory: even a pass of one row does not fit")
    context.events.say(
        "warning",
        f"a pass of {whole.micro} rows does not fit in memory: the step of {smaller.step} rows is now "
        f"{smaller.accumulation} passes of {smaller.micro}",
    )
    return smaller


def _model(context: StageContext, group: Group) -> Any:
    """Return the model to train: weights that are trained are kept in 32 bit, or updates would be rounded away."""
    parameters = context.job.parameters
    quantized = parameters.text(LOAD_IN) == FOUR_BIT
    half = parameters.text("precision") == "16"
    frozen_base = parameters.flag("apply_lora") and half and not group.sharded
    flash = torch.cuda.is_available() and frozen_base and find_spec("flash_attn") is not None
    base = load_model(
        context.folder / "import",
        trust_remote_code=context.trusted,
        dtype="auto" if frozen_base else "float32",
        attention=VARIABLE_LENGTH if flash else None,
        four_bit=quantized,
        # What is sharded is moved to the GPU part by part, as it would not fit there.
        device="cpu" if group.sharded else "",
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


def _reading(context: StageContext, model: Any, pad: int, train: Rows, validation: Rows, *, group: Group) -> Reading:
    """Return the rows as they are read: packed where that was asked for and the model keeps conversations apart."""
    parameters = context.job.parameters
    held_out = validation if len(validation) else None
    longest = max(train.lengths, default=1)
    flat = getattr(model.config, "_attn_implementation", "") == VARIABLE_LENGTH
    if parameters.flag("packing") and not group.agreed(kept_apart(model, train, pad, flat=flat)):
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


def _trainer(
    context: StageContext, model: Any, reading: Reading, batches: Batches, *, group: Group, shrunk: int
) -> _Trainer:
    parameters = context.job.parameters
    config = config_in(context.folder / "import")
    shape = shape_of(config)
    checkpointing = getattr(model, "supports_gradient_checkpointing", False) and group.agreed(
        checkpointing_wanted(parameters, shape, group, longest=reading.longest, batch=batches.micro)
    )
    if checkpointing:
        context.events.say("log", "activations are computed again rather than kept (gradient checkpointing)")
    arguments = training_arguments(
        parameters,
        context.folder / "checkpoints",
        batches,
        group,
        rows=len(reading.train),
        evaluates=reading.held_out is not None,
        checkpointing=checkpointing,
        evaluated=max(1, parameters.integer("per_device_eval_batch_size") >> shrunk),
        # Experts that no token was sent to, or parts of the model that read no text, have no gradient.
        unused=shape is None or shape.experts > 1 or "text_config" in config,
    )
    group.shard(arguments)
    repeated = -len(reading.train) % (batches.micro * group.size)
    if group.size > 1 and repeated:
        context.events.say(
            "log", f"{repeated} rows are read once more at the end of an epoch, so that every process has as many"
        )
    callbacks: list[Any] = [RunReporter(context, group, mean_tokens=reading.mean)]
    if parameters.flag("apply_early_stopping"):
        if arguments.load_best_model_at_end:
            patience = parameters.integer("early_stopping_patience")
            callbacks.append(EarlyStoppingCallback(patience, parameters.number("early_stopping_threshold")))
        else:
            context.events.say("warning", "nothing is evaluated while training, so nothing stops it early")
    trainer = _Trainer(
        model=model,
        args=arguments,
        data_collator=reading.collate,
        train_dataset=reading.train,
        eval_dataset=reading.held_out,
        callbacks=callbacks,
        # liger's kernels have the loss within the model.
        compute_loss_func=None if arguments.use_liger_kernel else loss_in_parts,
    )
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer
