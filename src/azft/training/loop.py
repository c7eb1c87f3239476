"""What one process does to train: its model, its rows, transformers' Trainer, and the checkpoint it goes on from."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from attrs import evolve, frozen
from transformers import EarlyStoppingCallback, Trainer

from azft.engine.adapters import adapted_share, with_adapter
from azft.engine.apart import kept_apart
from azft.engine.collate import Packed, PackedRows, Padded
from azft.engine.loading import config_in, context_limit, load_model, load_tokenizer, quiet, set_threads
from azft.engine.losses import loss_in_parts
from azft.engine.rows import Rows
from azft.rules.engine import FOUR_BIT, LOAD_IN
from azft.rules.shapes import shape_of
from azft.training import checkpoints
from azft.training.arguments import Batches, batches_of, checkpointing_wanted, training_arguments
from azft.training.group import Group
from azft.training.reporting import RunReporter
from azft.training.task import CanceledError, Task

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

    def train(self, resume_from_checkpoint: str | bool | None = None, *more: Any, **given: Any) -> Any:
        """Train, going on from a checkpoint where one is given."""
        if isinstance(resume_from_checkpoint, str):
            self.over = checkpoints.is_last(Path(resume_from_checkpoint))
        return super().train(resume_from_checkpoint, *more, **given)

    def _save_rng_state(self, output_dir: str) -> None:
        """Keep the random state of every process, written by the first: one of another machine has another disk."""
        if self.args.world_size == 1:
            super()._save_rng_state(output_dir)
            return
        with TemporaryDirectory(prefix="azft-") as aside:
            super()._save_rng_state(aside)
            own = [(path.name, path.read_bytes()) for path in Path(aside).iterdir()]
        everybody = Group(self.args.process_index, self.args.world_size).gathered(own)
        for name, content in chain.from_iterable(everybody) if self.is_world_process_zero() else ():
            Path(output_dir, name).write_bytes(content)

    def _run_epoch(self, *places: Any, **given: Any) -> Any:
        if self.over:
            self.control.should_training_stop = True
            return None
        return super()._run_epoch(*places, **given)  # type: ignore[no-untyped-call]


def train(task: Task, group: Group, shrunk: int = 0) -> Trainer:
    """Train until the end, going on from the newest whole checkpoint; `shrunk` is how often a pass was too large.

    Errors: `CanceledError`; `torch.OutOfMemoryError`, where smaller passes may be tried.
    """
    quiet()
    parameters = task.parameters
    set_threads(parameters.integer("threads"), task.checkpoints.parent / "threads.txt", processes=group.size)
    tokenizer = load_tokenizer(task.model)
    working = task.checkpoints
    rows, validation = (task.tokens(split) for split in ("train", "validation"))
    model = loaded_model(task, group)
    reading = _reading(task, model, tokenizer.pad_token_id, rows, validation, group=group)
    batches = _shrunk(batches_of(parameters, reading.mean), shrunk, task)
    trainer = _trainer(task, model, reading, batches, group=group, shrunk=shrunk)
    resume = group.agreed(checkpoints.newest_whole(working) if group.first and working.exists() else None)
    if resume is not None:
        task.events.say("log", f"resumed from {resume.name}")
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    if group.agreed(task.canceled):
        raise CanceledError
    return trainer


def _shrunk(batches: Batches, times: int, task: Task) -> Batches:
    """Return the same step in smaller passes: what is learned does not change silently."""
    if not times:
        return batches
    whole = _shrunk(batches, times - 1, task)
    smaller = whole.halved
    if smaller is None:
        raise RuntimeError("CUDA out of memory: even a pass of one row does not fit")
    task.events.say(
        "warning",
        f"a pass of {whole.micro} rows does not fit in memory: the step of {smaller.step} rows is now "
        f"{smaller.accumulation} passes of {smaller.micro}",
    )
    return smaller


def loaded_model(task: Task, group: Group, *, adapter: bool = True) -> Any:
    """Return the model to train: weights that are trained are kept in 32 bit, or updates would be rounded away."""
    parameters = task.parameters
    quantized = parameters.text(LOAD_IN) == FOUR_BIT
    half = parameters.text("precision") == "16"
    frozen_base = parameters.flag("apply_lora") and half and not group.sharded
    flash = torch.cuda.is_available() and frozen_base and find_spec("flash_attn") is not None
    base = load_model(
        task.model,
        trust_remote_code=task.file.trust_remote_code,
        dtype="auto" if frozen_base else "float32",
        attention=VARIABLE_LENGTH if flash else None,
        four_bit=quantized,
        # What is sharded is moved to the GPU part by part, as it would not fit there.
        device="cpu" if group.sharded else "",
    )
    base.config.use_cache = False
    if not adapter:
        return base
    model = with_adapter(base, parameters)
    if parameters.flag("apply_lora"):
        part = adapted_share(model)
        said = f"LoRA adapts {part:.0%} of the weights beside embeddings"
        if part < MOST_ADAPTED:
            task.events.say("warning", f"{said}: experts that are one fused tensor are left as they are")
        else:
            task.events.say("log", said)
    return model


def _reading(task: Task, model: Any, pad: int, train: Rows, validation: Rows, *, group: Group) -> Reading:
    """Return the rows as they are read: packed where that was asked for and the model keeps conversations apart."""
    parameters = task.parameters
    held_out = validation if len(validation) else None
    longest = max(train.lengths, default=1)
    flat = getattr(model.config, "_attn_implementation", "") == VARIABLE_LENGTH
    if parameters.flag("packing") and not group.agreed(kept_apart(model, train, pad, flat=flat)):
        task.events.say(
            "warning",
            f"nothing is packed: {model.config.model_type} lets packed conversations read each other (tried on two)",
        )
    elif parameters.flag("packing"):
        capacity = max(parameters.integer("pack_length"), longest)
        packs = PackedRows(train, capacity)
        packed = f"{len(train):,} conversations packed into {len(packs):,} rows of up to {capacity:,} tokens"
        few = len(packs) * FEW < len(train)
        fix = "; an epoch has that many steps fewer: a shorter pack_length or a smaller batch makes more" if few else ""
        task.events.say("warning" if few else "log", f"{packed}{fix}")
        mean = sum(train.lengths) / max(len(packs), 1)
        return Reading(packs, held_out and PackedRows(held_out, capacity), Packed(pad, flat), mean, capacity)
    limit = context_limit(task.model, parameters.integer("max_seq_length"))
    padded = limit if parameters.flag("pad_to_max_length") else 0
    mean = sum(train.lengths) / max(len(train), 1)
    return Reading(train, held_out, Padded(pad, padded), mean, max(padded, longest))


def trainer_of(
    task: Task, model: Any, rows: Any = None, *, held_out: Any = None, loss: Any = None, callbacks: Sequence[Any] = ()
) -> Trainer:
    """Return the Trainer of a task for a model, with rows and a loss of one's own where they are given."""
    quiet()
    group = task.group
    set_threads(task.parameters.integer("threads"), task.checkpoints.parent / "threads.txt", processes=group.size)
    pad = task.load_tokenizer().pad_token_id
    if rows is None:
        reading = _reading(task, model, pad, task.tokens("train"), task.tokens("validation"), group=group)
        reading = reading if held_out is None else evolve(reading, held_out=held_out)
    else:
        lengths = [len(rows[number]["input_ids"]) for number in range(len(rows))]
        mean, longest = sum(lengths) / max(len(lengths), 1), max(lengths, default=1)
        kept = held_out if held_out is not None else task.tokens("validation")
        reading = Reading(rows, kept if len(kept) else None, Padded(pad), mean, longest)
    batches = batches_of(task.parameters, reading.mean)
    return _trainer(task, model, reading, batches, group=group, loss=loss, callbacks=callbacks)


def _trainer(
    task: Task,
    model: Any,
    reading: Reading,
    batches: Batches,
    *,
    group: Group,
    shrunk: int = 0,
    loss: Any = None,
    callbacks: Sequence[Any] = (),
) -> _Trainer:
    parameters = task.parameters
    config = config_in(task.model)
    shape = shape_of(config)
    checkpointing = getattr(model, "supports_gradient_checkpointing", False) and group.agreed(
        checkpointing_wanted(parameters, shape, group, longest=reading.longest, batch=batches.micro)
    )
    if checkpointing:
        task.events.say("log", "activations are computed again rather than kept (gradient checkpointing)")
    arguments = training_arguments(
        parameters,
        task.checkpoints,
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
        task.events.say(
            "log", f"{repeated} rows are read once more at the end of an epoch, so that every process has as many"
        )
    called: list[Any] = [RunReporter(task, group, mean_tokens=reading.mean), *callbacks]
    if parameters.flag("apply_early_stopping"):
        if arguments.load_best_model_at_end:
            patience = parameters.integer("early_stopping_patience")
            called.append(EarlyStoppingCallback(patience, parameters.number("early_stopping_threshold")))
        else:
            task.events.say("warning", "nothing is evaluated while training, so nothing stops it early")
    trainer = _Trainer(
        model=model,
        args=arguments,
        data_collator=reading.collate,
        train_dataset=reading.train,
        eval_dataset=reading.held_out,
        callbacks=called,
        # liger's kernels have the loss within the model.
        compute_loss_func=loss or (None if arguments.use_liger_kernel else loss_in_parts),
    )
    from transformers.trainer_callback import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer
