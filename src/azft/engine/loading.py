"""Load tokenizers and models the one way every stage does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson

from azft.engine.machine import cores


def quiet() -> None:
    """Keep progress bars and advice of the libraries out of the worker's log."""
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


def load_tokenizer(folder: Path | str, *, trust_remote_code: bool = False) -> Any:
    """Return the tokenizer, which always has a padding token."""
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust_remote_code)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """Return the causal language model of the folder, on the best device here."""
    import torch
    from transformers import AutoModelForCausalLM

    model: Any = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=trust_remote_code)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def set_threads(wanted: int, record: Path) -> int:
    """Use that many CPU threads (0 for all cores); a resumed run uses what it began with, as bits depend on it."""
    import torch

    if record.exists():
        threads = int(record.read_text(encoding="ascii"))
    else:
        threads = wanted or cores()
        record.write_text(str(threads), encoding="ascii")
    torch.set_num_threads(threads)
    return threads


def context_limit(model_folder: Path, wanted: int) -> int:
    """Return how many tokens a row may have: what was asked for, or else what the model can read."""
    config = orjson.loads((model_folder / "config.json").read_bytes())
    limit = next((config[key] for key in ("max_position_embeddings", "n_positions") if config.get(key)), 2048)
    return int(limit if wanted < 1 else min(wanted, limit))
