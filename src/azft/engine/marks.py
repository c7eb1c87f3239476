"""Marks around what messages say, put in before a chat template runs and found again in what it writes."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property
from typing import Any

from attrs import frozen

from azft.engine.rendering import Span
from azft.errors import ConfigurationError

PLANES = (0xF0000, 0x100000)
"""Private-use planes of Unicode to take marks from; the second where the first occurs in the text."""
THOUGHT = "</think>"
"""Behind it stands the answer itself; what is before, templates may leave out."""
_SHORTEST = 3
"""Letters of a text that a template may look for; shorter ones are signs that any answer may hold."""


@frozen(eq=False)
class Marker:
    """Marks contents for one template: never within a text that the template looks for, as it would not find it."""

    source: str

    @cached_property
    def looked_for(self) -> re.Pattern[str] | None:
        """Match the texts that the template looks for in a message, such as `</think>`; None if there are none."""
        import jinja2
        from jinja2 import nodes

        extensions = ["jinja2.ext.loopcontrols", _generation()]
        try:
            tree = jinja2.Environment(extensions=extensions, autoescape=True).parse(self.source)
        except jinja2.TemplateSyntaxError as error:
            raise ConfigurationError(
                f"the chat template cannot be read: line {error.lineno}: {error.message}",
                hint="give a whole template, or the name of a file that holds one",
            ) from error
        constants = {
            constant.value
            for node in (*tree.find_all(nodes.Call), *tree.find_all(nodes.Compare))
            for constant in node.find_all(nodes.Const)
        }
        texts = [text for text in constants if isinstance(text, str) and len(text) >= _SHORTEST and not text.isalpha()]
        return re.compile("|".join(map(re.escape, sorted(texts, key=len, reverse=True)))) if texts else None

    def marked(self, content: Any, mark: int, *, blank: bool = False) -> Any:
        """Return the content with the mark before each part of it that says something, and the next one behind.

        A content that says nothing is marked only if it is asked for: a template may leave such a one out.
        """
        opened, closed = chr(mark), chr(mark + 1)
        if not isinstance(content, str) or not content.strip():
            return f"{opened}{content}{closed}" if blank and isinstance(content, str) else content
        parts = [content] if self.looked_for is None else _split(content, self.looked_for)
        return "".join(
            part if number % 2 or not part.strip() else _around(part, opened, closed)
            for number, part in enumerate(parts)
        )

    def is_whole(self, content: str, written: str) -> bool:
        """Return whether what was found between the marks is the content, but for reasoning before `</think>`."""
        return self._bare(written) in (self._bare(content), self._bare(_answer(content))) or self._bare(
            _answer(written)
        ) == self._bare(_answer(content))

    def _bare(self, text: str) -> str:
        """Return the text without space at its ends, nor texts that were not marked there."""
        text = text.strip()
        while self.looked_for is not None and (found := self.looked_for.match(text)):
            text = text[found.end() :].lstrip()
        ends = [] if self.looked_for is None else list(self.looked_for.finditer(text))
        while ends and ends[-1].end() == len(text):
            text = text[: ends.pop().start()].rstrip()
        return text


def free_plane(text: str) -> int | None:
    """Return a private-use plane that the text has no character of."""
    return next((plane for plane in PLANES if not _plane(plane).search(text)), None)


@frozen
class Unmarked:
    """A text that had marks in it: the text without them, where each content lies by message, and where marks were."""

    text: str
    contents: dict[int, Span]
    places: tuple[int, ...]

    def span(self, span: Span) -> Span:
        """Return where a span of the marked text lies in this one."""
        begin, end = span
        return begin - bisect_left(self.places, begin), end - bisect_left(self.places, end)


def without_marks(written: str, plane: int) -> Unmarked:
    """Return the text without the marks, and what they tell."""
    found: dict[int, Span] = {}
    pieces: list[str] = []
    places: list[int] = []
    at = length = 0
    for mark in _plane(plane).finditer(written):
        pieces.append(written[at : mark.start()])
        places.append(mark.start())
        length += mark.start() - at
        at = mark.end()
        number, closing = divmod(ord(mark.group()) - plane, 2)
        begin, end = found.get(number, (length, length))
        found[number] = (begin, length) if closing else (begin, end)
    return Unmarked("".join([*pieces, written[at:]]), found, tuple(places))


def _answer(content: str) -> str:
    return content.rpartition(THOUGHT)[2]


def _plane(plane: int) -> re.Pattern[str]:
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


def _generation() -> Any:
    """Return an extension that reads `{% generation %}` as nothing."""
    from jinja2.ext import Extension

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - as jinja declares it

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    return Generation
