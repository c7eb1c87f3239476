"""Load tokenizers and models the one way every stage does."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from azft.engine.gguf import gguf_of
from azft.engine.machine import cores, has_half_precision
from azft.engine.tokens import ChatTokenizer
from azft.engine.weights import check_unchanged
from azft.errors import ConfigurationError
from azft.files import write_whole

# In a notebook without ipywidgets the libraries' progress bars ask for it; azft shows progress of its own.
warnings.filterwarnings("ignore", message="IProgress not found")


def quiet() -> None:
    """Keep progress bars and advice of the libraries out of the worker's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_tokenizer(folder: Path | str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer, which always has a padding token."""
    from transformers import AutoTokenizer

    folder, gguf = gguf_of(folder)
    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code, **gguf)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_chat_tokenizer(given: Any, *, chat_template: str = "", day: datetime | None = None) -> ChatTokenizer:
    """Return a tokenizer with its chat template: of a folder, a GGUF file, a hub id, or one that is loaded already.

    `chat_template` is a file or a template that takes the place of its own. Errors: `ConfigurationError` where it
    cannot be loaded, has no template, or cannot say where its tokens lie.
    """
    name = str(given) if isinstance(given, str | Path) else ""
    try:
        tokenizer = load_tokenizer(given) if isinstance(given, str | Path) else given
    except Exception as error:  # broken files raise whatever the libraries meet next
        said = f"{type(error).__name__}: {error}".strip().splitlines()[0]
        raise ConfigurationError(
            f"tokenizer {name!r} cannot be loaded: {said}",
            hint="give a folder or hub id with a tokenizer; azft[local] brings transformers",
        ) from error
    template = template_text(chat_template) if chat_template else ""
    return ChatTokenizer(tokenizer, name=name, chat_template=template, day=day)


def template_text(given: str) -> str:
    """Return a chat template: the text itself, or what the file holds.

    >>> template_text("{{ messages[0].content }}")
    '{{ messages[0].content }}'
    """
    if "{" in given or "\n" in given:
        return given
    try:
        return Path(given).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"chat_template={given!r} cannot be read: {error}", hint="give a file") from error


def load_model(
    folder: Path,
    *,
    trust_remote_code: bool = False,
    dtype: str = "auto",
    attention: str | None = None,
    four_bit: bool = False,
    device: str = "",
) -> Any:
    """Return the causal language model of the folder, on a device: the best one here, if none is named.

    `dtype` "auto" is the checkpoint's own, or 32 bit where a processor without half precision has to compute alone.
    `attention` is one of transformers' implementations, its own choice without. With `four_bit` the weights of linear
    layers are NF4 of bitsandbytes (QLoRA, arXiv 2305.14314), which an adapter can be trained on.
    """
    import torch
    from transformers import AutoModelForCausalLM

    check_unchanged(folder)
    on_gpu = torch.cuda.is_available()
    if dtype == "auto" and not on_gpu and not has_half_precision():
        dtype = "float32"
    device = device or (f"cuda:{torch.cuda.current_device()}" if on_gpu else "cpu")
    more: dict[str, Any] = {}
    if four_bit:
        from transformers import BitsAndBytesConfig

        half = torch.bfloat16 if has_bf16() else torch.float16
        computed = half if on_gpu and dtype != "float32" else torch.float32
        more["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=computed
        )
        more["device_map"] = {"": device}
    model: Any = AutoModelForCausalLM.from_pretrained(
        folder, trust_remote_code=trust_remote_code, dtype=dtype, attn_implementation=attention, **more
    )
    return model if four_bit else model.to(device)


def has_bf16() -> bool:
    """Return whether the GPU here computes in bf16 by itself; torch emulates it on others, slowly."""
    import torch

    return torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)


def config_in(folder: Path) -> dict[str, Any]:
    """Return the configuration of the model in a folder."""
    found: dict[str, Any] = orjson.loads((folder / "config.json").read_bytes())
    return found


def own_dtype(folder: Path) -> str:
    """Return the type that a checkpoint's weights are kept in, such as "bfloat16"; 32 bit where it does not say."""
    config = config_in(folder)
    nested = config.get("text_config") or {}
    found = next((part[key] for part in (config, nested) for key in ("dtype", "torch_dtype") if part.get(key)), "")
    return str(found or "float32")


def set_threads(wanted: int, record: Path, *, processes: int = 1) -> int:
    """Share that many CPU threads (0 for all cores) among processes, and return what this one has.

    A resumed run uses what it began with, as bits depend on it.
    """
    import torch

    if record.exists():
        threads = int(record.read_text(encoding="ascii"))
    else:
        threads = wanted or cores()
        write_whole(record, str(threads).encode())
    threads = max(1, threads // processes)
    torch.set_num_threads(threads)
    return threads


def context_limit(model_folder: Path, wanted: int) -> int:
    """Return how many tokens a row may have: what was asked for, or else what the model can read."""
    limit = context_of(config_in(model_folder))
    return limit if wanted < 1 else min(wanted, limit)


def context_of(config: Mapping[str, Any]) -> int:
    """Return how many tokens a model reads, as its configuration says; models of several parts nest that of text.

    >>> context_of({"text_config": {"max_position_embeddings": 131072}}), context_of({})
    (131072, 2048)
    """
    nested = config.get("text_config")
    for part in (config, nested if isinstance(nested, Mapping) else {}):
        found = next((part[key] for key in ("max_position_embeddings", "n_positions") if part.get(key)), None)
        if found:
            return int(found)
    return 2048
