"""Stage 3: train, in one process or in one a device, and keep the tuned model."""

from __future__ import annotations

import gc
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import orjson
import torch
from attrs import evolve
from torch import distributed
from transformers import Trainer

from azft.domain.parameters import Parameters
from azft.engine.adapters import adapted
from azft.engine.loading import config_in, context_limit, load_model, load_tokenizer, quiet
from azft.engine.rows import read_rows
from azft.errors import ConfigurationError
from azft.files import write_whole
from azft.rules.engine import FOUR_BIT, LOAD_IN
from azft.rules.shapes import shape_of
from azft.stages.context import StageContext
from azft.stages.ranks import TooLargeError, run_ranks
from azft.stages.reasons import reason
from azft.training.arguments import group_wanted
from azft.training.group import Group, joined
from azft.training.loop import train
from azft.training.saving import write_model

TRAINED = "trained"
"""In the folder of checkpoints: what several processes made together."""
BEST = "best.txt"
T = TypeVar("T")


def finetune(context: StageContext, target: Path) -> None:
    """Train, and write the tuned model (merged, unless asked otherwise) and its adapter."""
    quiet()
    parameters = context.job.parameters
    group = _group(context)
    if group.size > 1:
        said = f"{group.size} processes train together" + (", each with a part of the weights" * group.sharded)
        context.events.say("log", said)
    model, best = _fitting(
        lambda shrunk: _trained(context, group, shrunk), shrinks=parameters.flag("auto_find_batch_size")
    )
    _write(context, model, best, target)


def finetune_together(context: StageContext, rank: int, size: int, target: Path | None) -> None:
    """Train as one of the processes that somebody else has started; the first one writes the model to its target."""
    quiet()
    group = evolve(_group(context, size), rank=rank, size=size)
    joined(rank, size)
    group = evolve(group, sharded=group.agreed(group.sharded))
    if group.first:
        said = f"{size} processes train together" + (", each with a part of the weights" * group.sharded)
        context.events.say("log", said)
    train_as_one_of_several(context, group, 0)
    distributed.destroy_process_group()
    _collect()
    if target is not None:
        _write(context, *_made(context), target)


def _write(context: StageContext, model: Any, best: str | None, target: Path) -> None:
    """Write the tuned model, and leave as many checkpoints as were asked for."""
    working = context.folder / "checkpoints"
    write_model(context.task, model, load_tokenizer(context.folder / "import"), target)
    shutil.rmtree(working / TRAINED, ignore_errors=True)
    _keep_only_asked(working, context.job.parameters, best)


def _trained(context: StageContext, group: Group, shrunk: int) -> tuple[Any, str | None]:
    """Return the trained model, and the folder of its best checkpoint, if one was looked for."""
    if group.size > 1:
        run_ranks(context, train_as_one_of_several, group, shrunk)
    else:
        try:
            trainer = train(context.task, group, shrunk)
        except torch.OutOfMemoryError as error:
            raise TooLargeError(reason(error)) from error
        if context.job.parameters.text(LOAD_IN) != FOUR_BIT:
            return trainer.model, trainer.state.best_model_checkpoint
        # An adapter is merged into the weights as they were, and not into their four bits.
        _keep(trainer, context)
        del trainer
        _collect()
    return _made(context)


def _made(context: StageContext) -> tuple[Any, str | None]:
    """Return the model that was kept beside the checkpoints, and the folder of its best checkpoint."""
    made = context.folder / "checkpoints" / TRAINED
    best = (made / BEST).read_text(encoding="utf-8")
    # One GPU may not hold what several shared, or what was in four bits.
    if not context.job.parameters.flag("apply_lora"):
        return load_model(made, trust_remote_code=context.trusted, dtype="float32", device="cpu"), best or None
    base = load_model(context.folder / "import", trust_remote_code=context.trusted, device="cpu")
    return adapted(base, made), best or None


def train_as_one_of_several(context: StageContext, group: Group, shrunk: int) -> None:
    """Train beside other processes, and write what was made, whole or as an adapter."""
    _keep(train(context.task, group, shrunk), context)
    group.wait()


def _keep(trainer: Trainer, context: StageContext) -> None:
    """Write what was trained beside the checkpoints: an adapter, or the whole model."""
    made = context.folder / "checkpoints" / TRAINED
    trainer.save_model(str(made))
    if trainer.is_world_process_zero():
        write_whole(made / BEST, str(trainer.state.best_model_checkpoint or "").encode())


def _fitting(train_it: Callable[[int], T], *, shrinks: bool) -> T:
    """Return what training brings; where a pass runs out of memory and may shrink, again with smaller ones."""
    shrunk = 0
    while True:
        try:
            return train_it(shrunk)
        except TooLargeError as error:
            if not shrinks:
                raise error.__cause__ or error from None
        shrunk += 1
        _collect()


def _collect() -> None:
    """Give back what a training held."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _group(context: StageContext, size: int = 0) -> Group:
    """Return the processes that train: those that the run began with, as the rows of a step depend on them.

    `size` is how many somebody else has started, 0 for none.

    Errors: `ConfigurationError` where there are fewer GPUs than there were.
    """
    record = context.folder / "group.json"
    if record.exists() and not size:
        group = Group(**orjson.loads(record.read_bytes()))
        there = torch.cuda.device_count()
        if 0 < there < group.size:
            raise ConfigurationError(
                f"the run was begun on {group.size} GPUs, and {there} are in sight: its steps would have other rows",
                hint="free the others (CUDA_VISIBLE_DEVICES) and resume it, or submit the plan again",
            )
        return group
    shape = shape_of(config_in(context.folder / "import"))
    parameters = context.job.parameters
    longest = max(read_rows(context.folder / "preprocess" / "train").lengths, default=1)
    if parameters.flag("packing"):
        longest = max(longest, parameters.integer("pack_length"))
    elif parameters.flag("pad_to_max_length"):
        longest = context_limit(context.folder / "import", parameters.integer("max_seq_length"))
    group = group_wanted(parameters, shape, longest=longest, size=size)
    if size:
        return group
    write_whole(record, orjson.dumps({"size": group.size, "sharded": group.sharded}))
    return group


def _keep_only_asked(working: Path, parameters: Parameters, best: str | None) -> None:
    """Leave as many checkpoints as `save_total_limit` asks for, now that the result is safe."""
    keep = parameters.integer("save_total_limit")
    if keep > 0:
        whole = sorted(working.glob("checkpoint-*"), key=lambda path: int(path.name.rpartition("-")[2]))
        for checkpoint in whole[:-keep]:
            if best is None or checkpoint.name != Path(best).name:
                shutil.rmtree(checkpoint)
