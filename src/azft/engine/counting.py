"""Count the tokens of conversations as the model will read them, many at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

from azft.engine.loading import load_tokenizer
from azft.engine.tokens import encode
from azft.errors import ConfigurationError

Messages = Sequence[Mapping[str, str]]
HEADER = 32
"""Tokens that a chat template may put before an answer, with room to spare."""


class TokenCounter:
    """Counts with a model's tokenizer and chat template: a folder, a hub id, or a tokenizer that is loaded already."""

    def __init__(self, tokenizer: Any) -> None:
        self.name = str(getattr(tokenizer, "name_or_path", "") or tokenizer)
        try:
            self.tokenizer = load_tokenizer(tokenizer) if isinstance(tokenizer, str | Path) else tokenizer
        except (ImportError, OSError, ValueError) as error:
            said = str(error).strip().splitlines()[0]
            raise ConfigurationError(
                f"tokenizer {self.name!r} cannot be loaded: {said}",
                hint="give a folder or hub id with a tokenizer; azft[local] brings transformers",
            ) from error
        if not getattr(self.tokenizer, "chat_template", None):
            raise ConfigurationError(
                f"tokenizer {self.name!r} has no chat template", hint="take the tokenizer of a chat model"
            )

    def lengths(self, conversations: Sequence[Messages]) -> list[int]:
        """Return the tokens of each conversation, chat template included."""
        return self.counted(self.rendered(conversations))

    def rendered(self, conversations: Sequence[Messages]) -> list[str]:
        """Return each conversation as the chat template writes it."""
        texts: list[str] = self.tokenizer.apply_chat_template(list(conversations), tokenize=False)
        return texts

    def learns(self, messages: Messages, limit: int) -> bool:
        """Return whether anything is left to learn within the first `limit` tokens.

        Mostly the prompt's length tells, which takes a fraction of the time of finding out which tokens are learned.
        """
        prompt = list(takewhile(lambda message: message["role"] != "assistant", messages))
        if self.lengths([prompt])[0] + HEADER <= limit:
            return True
        return encode(self.tokenizer, messages, limit).learned > 0

    def counted(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each rendered conversation."""
        fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if fast is None:
            return [len(ids) for ids in self.tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
        # Without offsets it takes less than half the time, and all cores.
        return [len(row) for row in fast.encode_batch_fast(list(texts), add_special_tokens=False)]
