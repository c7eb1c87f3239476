"""Generate answers piece by piece: one at a time, ended as soon as nobody wants the rest."""

from __future__ import annotations

import collections.abc
import queue
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, Literal

import torch
from attrs import define, frozen
from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

from azft.backends.local.scoring.requests import BadRequestError, Question
from azft.engine.answering import ends
from azft.engine.loading import load_model, load_tokenizer, quiet

LOOK_EVERY = 0.1
"""Seconds between two looks whether the answer is still wanted, while waiting for one's turn."""
LETTERS_A_TOKEN = 400
"""Characters that no token of a known vocabulary exceeds by far: what has more per token of room is too long."""


Written = collections.abc.Generator[str, None, None]


@frozen
class Prompt:
    """A question as token ids, checked."""

    question: Question
    ids: torch.Tensor

    @property
    def length(self) -> int:
        """How many tokens it has."""
        return int(self.ids.shape[1])


@define
class Answer:
    """What was written: its text, its tokens, and why it ended, in OpenAI's words."""

    text: str = ""
    tokens: int = 0
    finish_reason: Literal["stop", "length"] = "stop"


class GaveUpError(Exception):
    """Nobody wants the answer any more."""


class Generator:
    """One loaded model; requests take turns, as they would only slow each other down."""

    def __init__(self, folder: Path) -> None:
        quiet()
        self._tokenizer = load_tokenizer(folder)
        self._model = load_model(folder)
        self._model.eval()
        self._ends = ends(self._tokenizer, self._model)
        self._limit = int(getattr(self._model.config, "max_position_embeddings", 0) or 0)
        self._turn = Lock()

    def prompt(self, question: Question) -> Prompt:
        """Return the question as token ids; `BadRequestError` for one that is beyond the model's context."""
        letters = sum(len(message["content"]) for message in question.messages)
        if self._limit and letters > self._limit * LETTERS_A_TOKEN:
            said = f"the conversation has {letters:,} characters, beyond {self._limit:,} tokens"
            raise BadRequestError(said, "messages")
        try:
            ids = self._tokenizer.apply_chat_template(question.messages, add_generation_prompt=True, return_dict=True)
        except Exception as error:  # a template raises whatever its author chose
            raise BadRequestError(f"the model's chat template does not take it: {error}", "messages") from error
        length = len(ids["input_ids"])
        if self._limit and length + question.max_tokens > self._limit:
            wanted = f"with {question.max_tokens} new ones that is beyond {self._limit}"
            raise BadRequestError(f"the conversation has {length} tokens; {wanted}", "messages")
        return Prompt(question, torch.tensor([ids["input_ids"]], device=self._model.device))

    def answer(self, prompt: Prompt, unwanted: Event) -> Answer:
        """Return the whole answer; `GaveUpError` once it is unwanted."""
        answer = Answer()
        answer.text = "".join(self.pieces(prompt, unwanted, answer)).strip()
        if unwanted.is_set():
            raise GaveUpError
        return answer

    def pieces(self, prompt: Prompt, unwanted: Event, answer: Answer) -> Written:
        """Yield the answer as it is written, up to a stop text; `answer` then tells its tokens and why it ended."""
        self._take_turn(unwanted)
        try:
            streamer = _Streamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=None)
            ended = _Ended(unwanted, prompt.length)
            writer = Thread(target=self._write, args=(prompt, streamer, ended), daemon=True)
            writer.start()
            try:
                yield from _until_stop(streamer, prompt.question.stop, ended.enough)
            finally:
                ended.enough.set()
                writer.join()
            if ended.error is not None:
                raise ended.error
            answer.tokens = ended.tokens
            full = ended.tokens >= prompt.question.max_tokens and ended.last not in self._ends
            if full and not ended.stopped:
                answer.finish_reason = "length"
        finally:
            self._turn.release()

    def _take_turn(self, unwanted: Event) -> None:
        while not self._turn.acquire(timeout=LOOK_EVERY):
            if unwanted.is_set():
                raise GaveUpError
        if unwanted.is_set():
            self._turn.release()
            raise GaveUpError

    def _write(self, prompt: Prompt, streamer: _Streamer, ended: _Ended) -> None:
        """Run the model in a thread of its own; whatever it raises reaches whoever waits for the answer."""
        question = prompt.question
        sampled = question.temperature > 0
        try:
            if question.seed is not None:
                torch.manual_seed(question.seed)
            with torch.inference_mode():
                self._model.generate(
                    input_ids=prompt.ids,
                    attention_mask=torch.ones_like(prompt.ids),
                    max_new_tokens=question.max_tokens,
                    do_sample=sampled,
                    temperature=question.temperature if sampled else None,
                    top_p=question.top_p if sampled else None,
                    top_k=None,
                    pad_token_id=self._tokenizer.pad_token_id,
                    eos_token_id=self._ends,
                    streamer=streamer,
                    stopping_criteria=StoppingCriteriaList([ended]),
                )
        except BaseException as error:  # noqa: BLE001 - it is raised again by whoever waits
            ended.error = error
        finally:
            streamer.finish()


class _Streamer(TextIteratorStreamer):
    """The library's, and it also ends when the model has failed."""

    def finish(self) -> None:
        """Say that nothing follows; twice does no harm."""
        self.text_queue.put(self.stop_signal)

    def __next__(self) -> str:
        while True:
            try:
                value = self.text_queue.get(timeout=LOOK_EVERY)
            except queue.Empty:
                continue
            if value == self.stop_signal:
                raise StopIteration
            return str(value)


class _Ended(StoppingCriteria):
    """Ends the writing when the answer is unwanted or complete, and counts what was written."""

    def __init__(self, unwanted: Event, begin: int) -> None:
        self._unwanted = unwanted
        self._begin = begin
        self.enough = Event()
        self.tokens = 0
        self.last = -1
        self.stopped = False
        self.error: BaseException | None = None

    def __call__(self, input_ids: Any, scores: Any, **_more: Any) -> Any:
        self.tokens = int(input_ids.shape[1]) - self._begin
        self.last = int(input_ids[0, -1])
        self.stopped = self.enough.is_set()
        done = self.stopped or self._unwanted.is_set()
        return torch.full((input_ids.shape[0],), done, dtype=torch.bool, device=input_ids.device)


def _until_stop(pieces: Iterator[str], stops: tuple[str, ...], enough: Event) -> Iterator[str]:
    """Yield text up to the first stop text; as much as could be the beginning of one is held back."""
    held = ""
    longest = max(map(len, stops), default=1) - 1
    for piece in pieces:
        held += piece
        places = [at for stop in stops if (at := held.find(stop)) >= 0]
        if places:
            enough.set()
            yield held[: min(places)]
            return
        safe = len(held) - longest
        if safe > 0:
            yield held[:safe]
            held = held[safe:]
    if held:
        yield held
