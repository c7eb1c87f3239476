"""Generate answers, whole or piece by piece."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock, Thread
from typing import Any

import torch
from transformers import TextIteratorStreamer

from azft.backends.local.scoring.requests import BadRequestError, Question
from azft.engine.answering import ends
from azft.engine.loading import load_model, load_tokenizer, quiet


class Generator:
    """One loaded model; requests take turns, as they would only slow each other down."""

    def __init__(self, folder: Path) -> None:
        quiet()
        self._tokenizer = load_tokenizer(folder)
        self._model = load_model(folder)
        self._model.eval()
        self._turn = Lock()

    def answer(self, question: Question) -> tuple[str, int, int]:
        """Return the answer, and the number of tokens read and written."""
        prompt = self._prompt(question)
        with self._turn, torch.inference_mode():
            out = self._model.generate(**self._settings(question, prompt))
        written = out[0, prompt.shape[1] :]
        text = self._tokenizer.decode(written, skip_special_tokens=True).strip()
        return _cut(text, question.stop), int(prompt.shape[1]), len(written)

    def pieces(self, question: Question) -> Iterator[str]:
        """Yield the answer as it is written."""
        prompt = self._prompt(question)
        streamer: Any = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        with self._turn:
            settings = {**self._settings(question, prompt), "streamer": streamer}
            writer = Thread(target=self._model.generate, kwargs=settings, daemon=True)
            writer.start()
            yield from (piece for piece in streamer if piece)
            writer.join()

    def _prompt(self, question: Question) -> torch.Tensor:
        ids = self._tokenizer.apply_chat_template(question.messages, add_generation_prompt=True, return_dict=True)
        limit = getattr(self._model.config, "max_position_embeddings", None)
        length = len(ids["input_ids"])
        if limit and length + question.max_tokens > limit:
            raise BadRequestError(
                f"the conversation has {length} tokens; with {question.max_tokens} new ones that is beyond {limit}"
            )
        return torch.tensor([ids["input_ids"]], device=self._model.device)

    def _settings(self, question: Question, prompt: torch.Tensor) -> dict[str, Any]:
        sampled = question.temperature > 0
        return {
            "input_ids": prompt,
            "attention_mask": torch.ones_like(prompt),
            "max_new_tokens": question.max_tokens,
            "do_sample": sampled,
            "temperature": question.temperature if sampled else None,
            "top_p": question.top_p if sampled else None,
            "top_k": None,
            "pad_token_id": self._tokenizer.pad_token_id,
            "eos_token_id": ends(self._tokenizer, self._model),
        }


def _cut(text: str, stops: tuple[str, ...]) -> str:
    for stop in stops:
        text = text.partition(stop)[0]
    return text
