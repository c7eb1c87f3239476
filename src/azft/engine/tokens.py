"""From conversations to token ids, and which of them are learned: the one place where this is decided.

The gate, the statistics, `show()` and the training itself ask here, so that what is shown is what is learned.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from itertools import islice, takewhile
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from azft.engine.places import places_of, tokens_between
from azft.engine.rendering import Span, TemplateRefusalError
from azft.engine.templates import ChatTemplate, LearnedText
from azft.errors import ConfigurationError
from azft.rules.learning import is_masked

IGNORE = -100
"""The label that the loss skips (torch.nn.CrossEntropyLoss, ignore_index)."""
HEADER = 32
"""Tokens that a chat template may put before an answer, with room to spare."""
WORDS = "one 2 3"
"""What a tokenizer is tried with: words that any vocabulary has the parts of."""
TOGETHER, AHEAD = 256, 2
"""Conversations tokenised at once, on all cores, and how often that many are rendered before any is labelled."""
Tokens = NDArray[np.int32]
Row = Mapping[str, Any]
"""A row of a prepared file: `messages`, and `tools` where there are any."""


@frozen(eq=False)
class Encoded:
    """Token ids and labels of one conversation, int32; a label is the id where it is learned, else -100."""

    ids: Tokens
    labels: Tokens
    truncated: bool

    @property
    def learned(self) -> int:
        """How many tokens are learned; the first one has nothing before it and never is."""
        return int((self.labels[1:] != IGNORE).sum())


class ChatTokenizer:
    """A tokenizer with its chat template; `day` is the date that a template which writes one is told.

    `name` is what it can be loaded again by, or what it calls itself. `chat_template` takes the
    place of its own, if it is not empty.

    Errors: `ConfigurationError` for a tokenizer that has no chat template, or cannot say where its tokens lie.
    """

    def __init__(self, tokenizer: Any, *, name: str = "", chat_template: str = "", day: datetime | None = None) -> None:
        self.name = name or str(getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__)
        self.tokenizer = tokenizer
        self.given_template = chat_template
        if chat_template:
            tokenizer.chat_template = chat_template
        if not getattr(tokenizer, "chat_template", None):
            raise ConfigurationError(
                f"tokenizer {self.name!r} has no chat template",
                hint="take the tokenizer of a chat model, or give one: ModelSpec(..., chat_template=FILE or TEXT)",
            )
        self._fast: Any = getattr(tokenizer, "backend_tokenizer", None)
        if self._fast is None:
            raise ConfigurationError(
                f"tokenizer {self.name!r} cannot say where its tokens lie in the text",
                hint="save it with a tokenizer.json (a fast tokenizer)",
            )
        self._fast.no_truncation()
        self._fast.no_padding()
        self._check_words()
        self.template = self._template_for(None, day)
        self._with_tools = self._template_for([{}], day)
        self.template.check()

    def encode(self, row: Row, limit: int) -> Encoded:
        """Return the ids of one row, cut at `limit` tokens; `TemplateRefusalError` if the template does not take it."""
        return self._encoded([self.learned(row)], limit)[0]

    def encode_all(self, rows: Iterable[Row], limit: int) -> Iterator[Encoded | TemplateRefusalError]:
        """Yield the ids of each row, or why the template does not take it, many rows at a time."""
        source = iter(rows)
        # While some are tokenised, which needs no interpreter, the next are rendered, which needs it alone.
        with ThreadPoolExecutor(1, thread_name_prefix="azft-tokens") as aside:
            waiting: deque[tuple[list[LearnedText | TemplateRefusalError], Future[list[Any]]]] = deque()
            while some := list(islice(source, TOGETHER)):
                learned = [self._tried(row) for row in some]
                texts = [text.text for text in learned if isinstance(text, LearnedText)]
                waiting.append((learned, aside.submit(self._fast.encode_batch, texts, add_special_tokens=False)))
                if len(waiting) > AHEAD:
                    yield from _labelled(*waiting.popleft(), limit)
            while waiting:
                yield from _labelled(*waiting.popleft(), limit)

    def learned(self, row: Row) -> LearnedText:
        """Return the row as the template writes it, and which of its characters are learned."""
        return self.template_for(row).learned(row["messages"], row.get("tools"))

    def template_for(self, row: Row) -> ChatTemplate:
        """Return the template that a row takes: some tokenizers have another one for rows with tools."""
        return self._with_tools if row.get("tools") else self.template

    def text(self, row: Row) -> str:
        """Return the row as the template writes it; `TemplateRefusalError` if it does not."""
        return self.template_for(row).text(row["messages"], row.get("tools"))

    def learns(self, row: Row, limit: int) -> bool:
        """Return whether anything is left to learn within the first `limit` tokens.

        Mostly the prompt's length tells, which takes a fraction of the time of finding out which tokens are learned.
        """
        plain = not any(map(is_masked, row["messages"]))
        prompt = list(takewhile(lambda message: message["role"] != "assistant", row["messages"]))
        try:
            if plain and self.lengths([self.template_for(row).text(prompt, row.get("tools"))])[0] + HEADER <= limit:
                return True
        except TemplateRefusalError:
            pass  # A template may take whole conversations alone.
        return self.encode(row, limit).learned > 0

    def lengths(self, texts: Sequence[str]) -> list[int]:
        """Return the tokens of each rendered conversation; without offsets it takes less than half the time."""
        return [len(found) for found in self._fast.encode_batch_fast(list(texts), add_special_tokens=False)]

    def _template_for(self, tools: Any, day: datetime | None) -> ChatTemplate:
        try:
            return ChatTemplate.of(self.tokenizer, tools=tools, day=day)
        except ValueError as error:
            raise ConfigurationError(
                f"tokenizer {self.name!r} has several chat templates and no default: {str(error).partition('. ')[0]}",
                hint="give one: ModelSpec(..., chat_template=FILE or TEXT)",
            ) from error

    def _check_words(self) -> None:
        """Refuse a tokenizer that loses the spaces between words, as some do that are loaded as of another kind."""
        ids = self._fast.encode(WORDS, add_special_tokens=False).ids
        written = self._fast.decode(ids, skip_special_tokens=False).strip()
        if written != WORDS and written == WORDS.replace(" ", ""):
            raise ConfigurationError(
                f"tokenizer {self.name!r}, as it is loaded, loses the spaces between words: {WORDS!r} is {written!r}",
                hint='"tokenizer_class": "PreTrainedTokenizerFast" in tokenizer_config.json takes its tokenizer.json',
            )

    def _tried(self, row: Row) -> LearnedText | TemplateRefusalError:
        try:
            return self.learned(row)
        except TemplateRefusalError as refusal:
            return refusal

    def _encoded(self, texts: Sequence[LearnedText], limit: int) -> list[Encoded]:
        found = self._fast.encode_batch([learned.text for learned in texts], add_special_tokens=False)
        return [_cut(one, learned, limit) for one, learned in zip(found, texts, strict=True)]


def _labelled(
    learned: Sequence[LearnedText | TemplateRefusalError], tokenised: Future[list[Any]], limit: int
) -> Iterator[Encoded | TemplateRefusalError]:
    found = iter(tokenised.result())
    for text in learned:
        yield _cut(next(found), text, limit) if isinstance(text, LearnedText) else text


def _cut(found: Any, learned: LearnedText, limit: int) -> Encoded:
    ids = np.array(found.ids, np.int32)
    labels = np.full(len(ids), IGNORE, np.int32)
    places = places_of(found, len(learned.spans))
    for span, content in _with_contents(learned):
        first, behind = tokens_between(places, span, content)
        labels[first:behind] = ids[first:behind]
    return Encoded(ids[:limit], labels[:limit], truncated=len(ids) > limit)


def _with_contents(learned: LearnedText) -> Iterator[tuple[Span, Span]]:
    """Yield each span with the content within it, none of it where a template's own markers give it other spans."""
    contents = [*learned.contents, (sys.maxsize, sys.maxsize)]
    at = 0
    for begin, end in learned.spans:
        while contents[at][1] <= begin:
            at += 1
        yield (begin, end), contents[at] if contents[at][0] < end else (begin, begin)
