"""Which characters of a conversation, as a chat template writes it, are learned: the answers and their ends of turn.

The contents of the answers are marked before the template runs, with characters that occur nowhere else, and the marks
are looked up in what it wrote. Without the marks that text must be what the template writes for the conversation as it
is, to the letter; so a template may strip, split and leave out as it likes, and nothing has to be known of its family.
What stands between an answer's header and its content, and the end of turn behind it, belong to the answer. It takes
two renderings, whatever the number of turns.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cached_property
from typing import Any

from attrs import field, frozen

from azft.engine.marks import Marker, Unmarked, free_plane, without_marks
from azft.engine.rendering import (
    Messages,
    Renderer,
    Span,
    TemplateRefusalError,
    Tools,
    check_calls,
    content_of,
    plain,
)
from azft.rules.learning import is_masked

_MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
_COMMENT = re.compile(r"\{#.*?#\}", re.DOTALL)
_TAG = re.compile(r"<[^<>\s]{1,48}>|\[/?[A-Z][A-Z_]{1,32}\]")
"""What looks like a control token, where the tokenizer has no token of its own for it."""
_THINKING = re.compile(r"<think|\[THINK|<\|channel|<\|START_THINKING")


@frozen
class LearnedText:
    """A rendered conversation; `spans` are what is learned, `contents` the parts of them that the answers say."""

    text: str
    spans: tuple[Span, ...]
    contents: tuple[Span, ...]


@frozen
class _Habits:
    """How a template writes turns: the assistant's header, what lies before an answer, and what ends the last one.

    `behind` is a header that stands behind every conversation, whether it was asked for or not; mostly empty.
    """

    header: str
    before: str
    tail: str
    behind: str = ""


@frozen(eq=False)
class ChatTemplate:
    """A chat template with the tokenizer's special tokens; `day` is the date that it is told, today's if none is."""

    source: str
    special: Mapping[str, Any] = field(factory=dict)
    tokens: tuple[str, ...] = ()
    day: datetime | None = None

    @classmethod
    def of(cls, tokenizer: Any, *, tools: Any = None, day: datetime | None = None) -> ChatTemplate:
        """Return the template of a loaded tokenizer; `ValueError` if it has several and none of them is the default."""
        source: str = tokenizer.get_chat_template(tools=tools)
        return cls(source, dict(tokenizer.special_tokens_map), tuple(tokenizer.get_added_vocab()), day)

    @cached_property
    def marked(self) -> bool:
        """Whether the template says itself what is generated, with `{% generation %}`."""
        return bool(_MARKERS.search(_COMMENT.sub("", self.source)))

    @property
    def dated(self) -> bool:
        """Whether the template writes the date."""
        return "strftime_now" in self.source

    @cached_property
    def ends(self) -> bool:
        """Whether every answer ends with a token of its own, so that a tuned model learns to stop."""
        learned = self.learned([_turn("user", "q1"), _turn("assistant", "a1"), *_QUESTION, _turn("assistant", "a2")])
        behind = [(learned.contents[0][1], learned.contents[1][0]), (learned.contents[1][1], len(learned.text))]
        return all(
            any(self._atom.search(learned.text[max(start, begin) : min(stop, end)]) for start, stop in learned.spans)
            for begin, end in behind
        )

    def check(self) -> None:
        """Raise `ConfigurationError` for a template that is none."""
        _ = self._marker.looked_for

    def is_odd(self, content: str) -> bool:
        """Return whether a message holds anything that the template looks for, such as `</think>`."""
        return self._marker.looked_for is not None and self._marker.looked_for.search(content) is not None

    def text(self, messages: Messages, tools: Tools | None = None, *, prompt: bool = False) -> str:
        """Return the conversation as the template writes it, with the assistant's header behind it for a `prompt`."""
        return self._renderer.write(plain(messages), tools, prompt=prompt)[0]

    def learned(self, messages: Messages, tools: Tools | None = None) -> LearnedText:
        """Return the text with what is learned of it; `TemplateRefusalError` if that cannot be told for certain.

        All contents are marked, or those of the answers alone where a template looks into the others.
        """
        given = plain(messages)
        text, _spans = self._renderer.write(given, tools)
        plane = free_plane(text)
        if plane is None:
            raise TemplateRefusalError("the text holds characters of both private-use planes of Unicode")
        for everybody in (True, False):
            marked = [
                {**message, "content": self._mark(message, plane + 2 * number)}
                if everybody or message["role"] == "assistant"
                else message
                for number, message in enumerate(given)
            ]
            try:
                written, spans = self._renderer.write(marked, tools, track=self.marked)
            except TemplateRefusalError:
                continue
            found = without_marks(written, plane)
            if found.text == text:
                own = [found.span(span) for span in spans] if self.marked else None
                return self._found(messages, found, own, everybody=everybody)
        raise TemplateRefusalError("the chat template rewrites the answers, so what is learned cannot be told")

    def _mark(self, message: Mapping[str, Any], mark: int) -> Any:
        return self._marker.marked(message["content"], mark, blank=message["role"] not in ("assistant", "system"))

    def _found(self, messages: Messages, unmarked: Unmarked, own: list[Span] | None, *, everybody: bool) -> LearnedText:
        """Return what is learned of each answer in turn: by the template's own word, or from its header to its end."""
        text, marks = unmarked.text, unmarked.contents
        spans: list[Span] = []
        contents: list[Span] = []
        ended = 0
        for number, message in enumerate(messages):
            begin, end = marks.get(number, (-1, -1))
            if message["role"] != "assistant":
                ended = max(ended, end)
                continue
            calls, said = message.get("tool_calls"), content_of(message)
            if begin < 0 and (said.strip() or not calls):
                raise TemplateRefusalError(f"the chat template does not write message {number + 1}, an answer")
            if begin >= 0 and not self._marker.is_whole(said, text[begin:end]):
                raise TemplateRefusalError(f"the chat template writes only a part of message {number + 1}, an answer")
            if not everybody and (calls or not self._habits.header):
                raise TemplateRefusalError("the chat template rewrites what stands around the answers")
            following = next((marks[n][0] for n in range(number + 1, len(messages)) if n in marks), len(text))
            last = number == len(messages) - 1
            content = (begin, end) if begin >= 0 else None
            if own is None:
                start = self._start(text, ended, begin if content else following)
                stop = self._stop(text, end if content else start, following, last=last, calls=bool(calls))
                found = [(start, stop)]
            else:
                found = _within(own, ended if everybody else 0, following, content)
            if calls:
                check_calls(calls, text[found[0][0] : found[-1][1]], number)
            ended = found[-1][1]
            if not is_masked(message):
                spans += found
                contents.append(content or (found[0][0], found[-1][1]))
        return LearnedText(text, tuple(dict.fromkeys(spans)), tuple(contents))

    def _start(self, text: str, ended: int, begin: int) -> int:
        """Return where the answer begins behind its header; the template may write more before its content."""
        gap = text[ended:begin]
        header = self._habits.header
        if header:
            at = gap.rfind(header)
            return begin if at < 0 else ended + at + len(header)
        same = self._shared(gap, self._habits.before)
        return ended + same if same and same == len(self._habits.before) else begin

    def _stop(self, text: str, end: int, following: int, *, last: bool, calls: bool) -> int:
        """Return where the end of turn behind an answer ends."""
        if last:
            return len(text.removesuffix(self._habits.behind))
        rest, tail = text[end:following], self._habits.tail
        if calls:
            ending = tail.rstrip("\n") or tail
            at = rest.rfind(ending) if ending else -1
            if at < 0:
                raise TemplateRefusalError("the chat template ends tool calls in a way of its own")
            size = at + len(ending)
            return end + size + (1 if tail.endswith("\n") and rest[size : size + 1] == "\n" else 0)
        # White space behind a content may be its own.
        lead = 0 if not tail.strip() else len(rest) - len(rest.lstrip())
        same = self._shared(rest[lead:], tail.lstrip() if lead else tail)
        if same:
            return end + lead + same
        # Another token ends a turn in the middle, or the next turn's first token does.
        first = self._atom.match(rest, len(rest) - len(rest.lstrip()))
        return end + first.end() if first else end

    @cached_property
    def _renderer(self) -> Renderer:
        return Renderer(self.source, self.special, self.day)

    @cached_property
    def _marker(self) -> Marker:
        return Marker(self.source)

    @cached_property
    def _habits(self) -> _Habits:
        """Look at how the template writes two short turns."""
        opened, closed = self.text(_QUESTION, prompt=True), self.text(_QUESTION)
        header = opened[self._shared(opened, closed) :]
        thought = _THINKING.search(header)
        header = header[: thought.start()] if thought else header
        header = header if header.strip() else ""
        talk = [*_QUESTION, _turn("assistant", "a1")]
        text = self.text([*talk, _turn("user", "q3"), _turn("assistant", "a2")])
        lead, before, between, _answered, tail = _around(text, "q2", "a1", "q3", "a2")
        # What ends an answer is what a question's header has before it then, and not at the start.
        end = between[: len(between) - self._alike_at_the_end(lead, between)]
        asked = closed.rpartition("q2")[2]
        behind = tail[len(tail) - self._alike_at_the_end(asked, tail) :].removeprefix(end)
        if opened == closed and behind.strip() and before.rstrip().endswith(behind.rstrip()):
            return _Habits(behind, before, tail.removesuffix(behind), behind)
        return _Habits(header, before, tail)

    def _alike_at_the_end(self, one: str, other: str) -> int:
        """Return how many of their last characters two texts share, in whole control tokens."""
        shortest = min(len(one), len(other))
        same = next((n for n in range(shortest) if one[-1 - n] != other[-1 - n]), shortest)
        for text in (one, other):
            place = len(text) - same
            cut = next((m.end() for m in self._atom.finditer(text) if m.start() < place < m.end()), place)
            same = min(same, len(text) - cut)
        return same

    @cached_property
    def _atom(self) -> re.Pattern[str]:
        """Match one control token: those of the tokenizer, longest first, and whatever looks like one."""
        own = sorted((re.escape(token) for token in self.tokens if token.strip()), key=len, reverse=True)
        return re.compile("|".join([*own, _TAG.pattern]))

    def _shared(self, one: str, other: str) -> int:
        """Return how far two texts agree, without cutting a control token."""
        if one.startswith(other):
            return len(other)
        same = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
        for text in (one, other):
            cut = next((m.start() for m in self._atom.finditer(text) if m.start() < same < m.end()), same)
            same = min(same, cut)
        return same


_QUESTION = [{"role": "user", "content": "q2"}]


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _around(text: str, *words: str) -> list[str]:
    """Return the text before, between and behind words, in their order; one that is not there leaves nothing."""
    pieces: list[str] = []
    at = 0
    for word in words:
        found = text.find(word, at)
        pieces.append(text[at:found] if found >= 0 else "")
        at = found + len(word) if found >= 0 else at
    return [*pieces, text[at:]]


def _within(own: list[Span], begin: int, end: int, content: Span | None) -> list[Span]:
    """Return the spans that a template marks itself between two places; they have to hold the content, and no other."""
    found = [span for span in own if span[0] < end and span[1] > begin]
    held = content is None or any(start <= content[0] and content[1] <= stop for start, stop in found)
    if not found or not held or found[0][0] < begin or found[-1][1] > end:
        raise TemplateRefusalError("the chat template's {% generation %} markers do not hold every answer alone")
    return found
