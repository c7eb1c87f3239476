"""Stage 1: put the base model and its tokenizer into the run folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from azft.engine.gguf import dequantised, is_gguf
from azft.engine.loading import load_tokenizer, quiet
from azft.engine.weights import is_whole, link_weights
from azft.errors import ConfigurationError, NotFoundError
from azft.stages.context import StageContext
from azft.stages.standin import build_model, build_tokenizer


def import_model(context: StageContext, target: Path) -> None:
    """Build the stand-in, or copy the user's weights with their own tokenizer and chat template."""
    quiet()
    model = context.job.model
    if model.stand_in:
        tokenizer = build_tokenizer(_texts(context.job.data.train.path))
        tokenizer.save_pretrained(target)
        build_model(tokenizer, context.job.parameters.integer("seed")).save_pretrained(target)
        return
    _import_weights(context, target)


def _import_weights(context: StageContext, target: Path) -> None:
    from transformers import AutoModelForCausalLM

    model, parameters = context.job.model, context.job.parameters
    weights: Path | str = model.weights
    if is_gguf(weights):
        context.events.say("log", f"weights of {Path(weights).name}, dequantised once and kept in {context.weights}")
        weights = dequantised(Path(weights), context.weights)
    folder = Path(weights)
    as_it_is = is_whole(folder) and not parameters.flag("ignore_mismatched_sizes")
    network: Any = None
    try:
        tokenizer = load_tokenizer(weights, trust_remote_code=context.trusted)
        if not as_it_is:
            network = AutoModelForCausalLM.from_pretrained(
                weights,
                trust_remote_code=context.trusted,
                ignore_mismatched_sizes=parameters.flag("ignore_mismatched_sizes"),
                dtype="auto",
            )
    except (OSError, ValueError) as error:
        raise NotFoundError(
            f"model {model.name!r}: {model.weights} could not be loaded: {error}",
            hint="weights is a folder saved with save_pretrained(), or a hub id that this machine can reach",
        ) from error
    if model.chat_template:
        tokenizer.chat_template = model.chat_template
    if not tokenizer.chat_template:
        raise ConfigurationError(
            f"model {model.name!r}: the tokenizer of {model.weights} has no chat template",
            hint="give one: ModelSpec(..., chat_template=FILE or TEXT)",
        )
    tokenizer.save_pretrained(target)
    if as_it_is:
        link_weights(folder, target)
    else:
        network.save_pretrained(target)


def _texts(path: Path) -> Iterator[str]:
    with path.open("rb") as lines:
        for line in lines:
            yield from (message["content"] for message in orjson.loads(line)["messages"])
