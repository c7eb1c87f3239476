"""The tokenizer of weights that lie on this machine, loaded once, and what is wrong with it for training."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from azft.domain.findings import Finding
from azft.domain.model import Model
from azft.engine.gguf import is_gguf
from azft.engine.loading import load_chat_tokenizer
from azft.engine.rendering import TemplateRefusalError
from azft.engine.tokens import ChatTokenizer
from azft.errors import AzftError, ConfigurationError


class OwnTokenizers:
    """Loads the tokenizers of models whose weights are here; `given` takes the place of all of them."""

    def __init__(self, given: Any = None) -> None:
        self._given = given
        self._known: dict[tuple[str, str], ChatTokenizer] = {}

    def of(self, model: Model) -> ChatTokenizer | None:
        """Return the model's tokenizer, None where its weights are not here; `ConfigurationError` if it is no use."""
        if self._given is None and not _is_here(model.weights):
            return None
        key = (model.weights, model.chat_template)
        if key not in self._known:
            given = self._given if self._given is not None else model.weights
            self._known[key] = load_chat_tokenizer(given, chat_template=model.chat_template)
        return self._known[key]

    def findings(self, model: Model, day: datetime) -> tuple[ChatTokenizer | None, tuple[Finding, ...]]:
        """Return the tokenizer, and what is to be said of it before a run; its own errors are findings."""
        try:
            tokenizer = self.of(model)
        except ConfigurationError as error:
            found = Finding(
                "AZFT-M010", "error", model.name, error.message, "a tokenizer with a chat template", error.hint
            )
            return None, (found,)
        if tokenizer is None or not _is_here(model.weights):
            return tokenizer, ()
        return tokenizer, tuple(_findings(model, tokenizer, day))


def _is_here(weights: str) -> bool:
    return bool(weights) and (Path(weights).is_dir() or is_gguf(weights))


def _findings(model: Model, tokenizer: ChatTokenizer, day: datetime) -> Iterator[Finding]:
    vocabulary = _vocabulary(Path(model.weights))
    tokens = len(tokenizer.tokenizer)
    if vocabulary and tokens > vocabulary:
        found = f"the tokenizer has {tokens:,} tokens, and the model embeddings for {vocabulary:,}"
        fix = "model.resize_token_embeddings(len(tokenizer)), and save both again"
        yield Finding("AZFT-M006", "error", model.name, found, f"at most {vocabulary:,} tokens", fix)
    if tokenizer.tokenizer.pad_token_id is None:
        found = "the tokenizer has neither a padding token nor an end token"
        yield Finding(
            "AZFT-M007", "error", model.name, found, "one of them", "set tokenizer.pad_token, and save it again"
        )
    template = tokenizer.template
    try:
        ends = template.ends
    except TemplateRefusalError:
        ends = True  # The rows say what it refuses.
    if not ends:
        found = "the chat template ends an answer with no token of its own, so the tuned model may not stop"
        fix = "ModelSpec(..., chat_template=...) with the model's end token behind each answer"
        yield Finding("AZFT-M008", "warning", model.name, found, "a token that ends an answer", fix)
    if template.dated:
        found = f"the chat template writes the date; this run's is {day.date().isoformat()}, whenever it goes on"
        yield Finding("AZFT-M009", "note", model.name, found, fix="template_date=... sets another")


def _vocabulary(folder: Path) -> int:
    """Return the rows of the embeddings, as the configuration says; 0 where it does not."""
    path = folder / "config.json"
    if not path.is_file():
        return 0
    try:
        config = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise AzftError(f"{path} is not JSON: {error}", hint="save the model again") from error
    nested = config.get("text_config")
    return int(config.get("vocab_size") or (nested.get("vocab_size") if isinstance(nested, dict) else 0) or 0)
