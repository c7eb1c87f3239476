"""Which characters of a conversation, as a chat template writes it, are learned: the answers and their ends of turn.

The contents of the answers are marked before the template runs, with characters that occur nowhere else, and the marks
are looked up in what it wrote. Without the marks that text must be what the template writes for the conversation as it
is, to the letter; so a template may strip, split and leave out as it likes, and nothing has to be known of its family.
What stands between an answer's header and its content, and the end of turn behind it, belong to the answer. It takes
two renderings, whatever the number of turns.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any

import orjson
from attrs import field, frozen

from azft.errors import AzftError
from azft.rules.learning import is_masked

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
Span = tuple[int, int]
PLANES = (0xF0000, 0x100000)
"""Private-use planes of Unicode to take marks from; the second where the first occurs in the text."""
_MARKERS = re.compile(r"\{%-?\s*generation\s*-?%\}")
_TAG = re.compile(r"<[^<>\s]{1,48}>|\[/?[A-Z][A-Z_]{1,32}\]")
"""What looks like a control token, where the tokenizer has no token of its own for it."""
_THINKING = re.compile(r"<think|\[THINK|<\|channel|<\|START_THINKING")
_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name")


class TemplateRefusalError(AzftError):
    """A conversation that the template does not write, or not so that the answers can be told apart."""


@frozen
class LearnedText:
    """A rendered conversation; `spans` are what is learned, `contents` the parts of them that the answers say."""

    text: str
    spans: tuple[Span, ...]
    contents: tuple[Span, ...]


@frozen
class _Habits:
    """How a template writes turns: the assistant's header, what lies before an answer, and what ends the last one."""

    header: str
    before: str
    tail: str


@frozen(eq=False)
class ChatTemplate:
    """A chat template with the tokenizer's special tokens; `day` is the date that it is told, today's if none is."""

    source: str
    special: Mapping[str, Any] = field(factory=dict)
    tokens: tuple[str, ...] = ()
    day: datetime | None = None

    @classmethod
    def of(cls, tokenizer: Any, *, day: datetime | None = None) -> ChatTemplate:
        """Return the template of a loaded tokenizer."""
        source: str = tokenizer.get_chat_template()
        return cls(source, dict(tokenizer.special_tokens_map), tuple(tokenizer.get_added_vocab()), day)

    @cached_property
    def marked(self) -> bool:
        """Whether the template says itself what is generated, with `{% generation %}`."""
        return bool(_MARKERS.search(self.source))

    @property
    def dated(self) -> bool:
        """Whether the template writes the date."""
        return "strftime_now" in self.source

    @cached_property
    def ends(self) -> bool:
        """Whether an answer ends with a token of its own, so that a tuned model learns to stop."""
        learned = self.learned([_turn("user", "q1"), _turn("assistant", "a1"), *_QUESTION, _turn("assistant", "a2")])
        begin, end = learned.contents[0][1], learned.contents[1][0]
        return any(self._atom.search(learned.text[max(start, begin) : min(stop, end)]) for start, stop in learned.spans)

    def is_odd(self, content: str) -> bool:
        """Return whether a message holds anything that the template looks for, such as `</think>`."""
        return self._told_apart is not None and self._told_apart.search(content) is not None

    def text(self, messages: Messages, tools: Tools | None = None, *, prompt: bool = False) -> str:
        """Return the conversation as the template writes it, with the assistant's header behind it for a `prompt`."""
        written = self._written(_plain(messages), tools, prompt=prompt)
        return written[0]

    def learned(self, messages: Messages, tools: Tools | None = None) -> LearnedText:
        """Return the text with what is learned of it; `TemplateRefusalError` if that cannot be told for certain."""
        plain = _plain(messages)
        if self.marked:
            return self._by_markers(messages, plain, tools)
        text, _spans = self._written(plain, tools)
        for everybody in (False, True) if not tools and not _calls(messages) else (True, False):
            found = self._traced(text, messages, plain, tools, everybody=everybody)
            if found is not None:
                return found
        raise TemplateRefusalError("the chat template rewrites the answers, so what is learned cannot be told")

    def _by_markers(self, messages: Messages, plain: Messages, tools: Tools | None) -> LearnedText:
        """Take the template's own word, where what it marks holds every answer in turn."""
        text, spans = self._written(plain, tools, track=True)
        contents: list[Span] = []
        kept: list[Span] = []
        at = 0
        for number, message in enumerate(messages):
            if message["role"] != "assistant":
                continue
            said = _last_part(_content(message)).strip()
            found = next((s for s in spans if s[1] > at and text.find(said, max(at, s[0]), s[1]) >= 0), None)
            if found is None:
                raise TemplateRefusalError("the chat template's {% generation %} markers do not hold every answer")
            begin = text.find(said, max(at, found[0]), found[1])
            at = begin + len(said)
            if message.get("tool_calls"):
                _check_calls(message["tool_calls"], text[found[0] : found[1]], number)
                begin, at = found
            if not is_masked(message):
                kept.append(found)
                contents.append((begin, at))
        masked = len(kept) < sum(message["role"] == "assistant" for message in messages)
        return LearnedText(text, tuple(dict.fromkeys(kept)) if masked else spans, tuple(contents))

    def _traced(
        self, text: str, messages: Messages, plain: Messages, tools: Tools | None, *, everybody: bool
    ) -> LearnedText | None:
        """Return what is learned, or None where marks change what the template writes."""
        plane = next((plane for plane in PLANES if not _in_plane(plane).search(text)), None)
        if plane is None:
            raise TemplateRefusalError("the text holds characters of both private-use planes of Unicode")
        marked = [
            {**message, "content": self._bracketed(message["content"], plane + 2 * number)}
            if everybody or message["role"] == "assistant"
            else message
            for number, message in enumerate(plain)
        ]
        try:
            written, _spans = self._written(marked, tools)
        except TemplateRefusalError:
            return None
        clean, marks = _without_marks(written, plane)
        if clean != text:
            return None
        return self._spans(text, messages, marks, everybody=everybody)

    def _spans(
        self, text: str, messages: Messages, marks: Mapping[int, tuple[int, int]], *, everybody: bool
    ) -> LearnedText:
        spans: list[Span] = []
        contents: list[Span] = []
        ended = 0
        for number, message in enumerate(messages):
            begin, end = marks.get(number, (-1, -1))
            if message["role"] != "assistant":
                ended = max(ended, end)
                continue
            calls = message.get("tool_calls")
            if begin < 0 and not calls:
                raise TemplateRefusalError(f"the chat template does not write message {number + 1}, an answer")
            if begin >= 0:
                _check_whole(message, text[begin:end], number)
            following = next((marks[n][0] for n in range(number + 1, len(messages)) if n in marks), len(text))
            last = number == len(messages) - 1
            start = self._start(text, ended, begin if begin >= 0 else following)
            stop = self._stop(text, end if end >= 0 else start, following, last=last, calls=bool(calls))
            if calls:
                if not everybody:
                    raise TemplateRefusalError("the chat template rewrites what stands around tool calls")
                _check_calls(calls, text[start:stop], number)
            ended = stop
            if not is_masked(message):
                spans.append((start, stop))
                contents.append((begin, end) if begin >= 0 else (start, stop))
        return LearnedText(text, tuple(spans), tuple(contents))

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
            return len(text)
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
    def _habits(self) -> _Habits:
        """Look at how the template writes two short turns."""
        opened, closed = self.text(_QUESTION, prompt=True), self.text(_QUESTION)
        header = opened[self._shared(opened, closed) :]
        thought = _THINKING.search(header)
        header = header[: thought.start()] if thought else header
        talk = [*_QUESTION, _turn("assistant", "a1")]
        text = self.text([*talk, _turn("user", "q3"), _turn("assistant", "a2")])
        begin = text.index("q2") + len("q2") if "q2" in text else 0
        before = text[begin : text.index("a1")] if "a1" in text else ""
        return _Habits(header, before, text[text.rindex("a2") + len("a2") :] if "a2" in text else "")

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

    @cached_property
    def _told_apart(self) -> re.Pattern[str] | None:
        """Match the texts that the template looks for in a message, such as `</think>`: no mark may stand in them."""
        import jinja2
        from jinja2 import nodes

        tree = jinja2.Environment(extensions=["jinja2.ext.loopcontrols", _marker_extension()], autoescape=True).parse(
            self.source
        )
        asked = [*tree.find_all(nodes.Call), *tree.find_all(nodes.Compare)]
        texts = {
            constant.value
            for node in asked
            for constant in node.find_all(nodes.Const)
            if isinstance(constant.value, str) and len(constant.value) > 2 and not constant.value.isalpha()  # noqa: PLR2004
        }
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True)))) if texts else None

    def _bracketed(self, content: Any, mark: int) -> Any:
        """Return the content with marks around each part of it that says something."""
        if not isinstance(content, str) or not content.strip():
            return content
        opened, closed = chr(mark), chr(mark + 1)
        parts = [content] if self._told_apart is None else _split(content, self._told_apart)
        return "".join(
            part if number % 2 or not part.strip() else _around(part, opened, closed)
            for number, part in enumerate(parts)
        )

    def _written(
        self, messages: Messages, tools: Tools | None, *, prompt: bool = False, track: bool = False
    ) -> tuple[str, tuple[Span, ...]]:
        """Run the template; arguments of tool calls are objects, or JSON text for a template that wants it so."""
        from transformers.utils.chat_template_utils import render_jinja_template

        more: dict[str, Any] = dict(self.special)
        if self.day is not None:
            more["strftime_now"] = self.day.strftime
        forms = (messages, _with_text_arguments(messages)) if _calls(messages) else (messages,)
        said = ""
        for form in forms:
            try:
                rendered: Any = render_jinja_template(
                    [form],  # type: ignore[list-item]
                    tools=list(tools) if tools else None,  # type: ignore[arg-type]
                    chat_template=self.source,
                    add_generation_prompt=prompt,
                    return_assistant_tokens_mask=track,
                    **more,
                )
            except Exception as error:  # noqa: BLE001 - a template is somebody else's program, and may raise anything
                said = said or str(error).strip().partition("\n")[0] or type(error).__name__
                continue
            texts, found = rendered
            return texts[0], tuple((int(begin), int(end)) for begin, end in (found[0] if track else ()))
        raise TemplateRefusalError(said)


_QUESTION = [{"role": "user", "content": "q2"}]


def _turn(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _content(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""


def _plain(messages: Messages) -> list[dict[str, Any]]:
    """Return what a template is given: no marks of what is learned, and arguments of tool calls as objects."""
    return [_plain_message(message) for message in messages]


def _plain_message(message: Mapping[str, Any]) -> dict[str, Any]:
    plain = {name: message[name] for name in _FIELDS if message.get(name) is not None}
    plain.setdefault("content", "")
    if "tool_calls" in plain:
        plain["tool_calls"] = [_call(call, parsed=True) for call in plain["tool_calls"]]
    return plain


def _calls(messages: Messages) -> bool:
    return any(message.get("tool_calls") for message in messages)


def _with_text_arguments(messages: Messages) -> list[dict[str, Any]]:
    return [
        {**message, "tool_calls": [_call(call, parsed=False) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else dict(message)
        for message in messages
    ]


def _call(call: Mapping[str, Any], *, parsed: bool) -> dict[str, Any]:
    function = dict(call["function"])
    given = function.get("arguments", {})
    if parsed and isinstance(given, str):
        given = orjson.loads(given)
    elif not parsed and not isinstance(given, str):
        given = orjson.dumps(given).decode()
    return {"type": "function", **call, "function": {**function, "arguments": given}}


def _check_calls(calls: Sequence[Mapping[str, Any]], written: str, number: int) -> None:
    """Refuse a turn that does not hold the names and the arguments of its calls."""
    for call in calls:
        function = _call(call, parsed=True)["function"]
        for said in (function["name"], *_leaves(function["arguments"])):
            if said not in written and orjson.dumps(said).decode()[1:-1] not in written:
                raise TemplateRefusalError(f"the chat template does not write the tool call of message {number + 1}")


def _leaves(value: Any) -> Iterator[str]:
    """Yield the texts and whole numbers of a JSON value; others are written in more than one way."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield str(name)
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        yield str(value)


def _check_whole(message: Mapping[str, Any], written: str, number: int) -> None:
    """Refuse an answer of which a part is lost; reasoning before `</think>` may be left out, as templates do."""
    said = _content(message).strip()
    if written not in (said, _last_part(said).strip()) and not _last_part(written).strip() == _last_part(said).strip():
        raise TemplateRefusalError(f"the chat template writes only a part of message {number + 1}, an answer")


def _last_part(content: str) -> str:
    return content.rpartition("</think>")[2]


def _in_plane(plane: int) -> re.Pattern[str]:
    return re.compile(f"[{chr(plane)}-{chr(plane + 0xFFFD)}]")


def _split(content: str, pattern: re.Pattern[str]) -> list[str]:
    """Return the content in pieces, every other one what the pattern found."""
    pieces: list[str] = []
    at = 0
    for found in pattern.finditer(content):
        pieces += [content[at : found.start()], found.group()]
        at = found.end()
    return [*pieces, content[at:]]


def _around(part: str, opened: str, closed: str) -> str:
    bare = part.strip()
    begin = part.index(bare)
    return f"{part[:begin]}{opened}{bare}{closed}{part[begin + len(bare) :]}"


def _without_marks(written: str, plane: int) -> tuple[str, dict[int, tuple[int, int]]]:
    """Return the text without the marks, and for each message where its content begins and ends."""
    found: dict[int, tuple[int, int]] = {}
    pieces: list[str] = []
    at = length = 0
    for mark in _in_plane(plane).finditer(written):
        pieces.append(written[at : mark.start()])
        length += mark.start() - at
        at = mark.end()
        number, closing = divmod(ord(mark.group()) - plane, 2)
        begin, end = found.get(number, (length, length))
        found[number] = (begin, length) if closing else (begin, end)
    return "".join([*pieces, written[at:]]), found


def _marker_extension() -> Any:
    """Return an extension that reads `{% generation %}` as nothing."""
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return Generation
