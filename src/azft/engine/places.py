"""Where tokens lie in a text, and which of them belong to a span of its characters."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from azft.engine.rendering import Span

FEW = 8
"""Spans up to which tokens are asked for one by one."""


class _Asked:
    """Where tokens lie in the text, asked one by one: for a few spans this takes far less than a list of all."""

    def __init__(self, found: Any) -> None:
        self._found = found
        self.count = len(found)

    def first(self, begin: int, end: int) -> int:
        """Return the first token that holds a character of the span, or the number of all tokens."""
        held = (self._found.char_to_token(at) for at in range(begin, end))
        return next((token for token in held if token is not None), self.count)

    def last(self, begin: int, end: int) -> int:
        """Return the last token that holds a character of the span, or -1."""
        held = (self._found.char_to_token(at) for at in range(end - 1, begin - 1, -1))
        token: int = next((token for token in held if token is not None), -1)
        # A letter of several tokens is told by the first of them.
        while 0 <= token < self.count - 1 and self.place(token + 1)[0] < end:
            token += 1
        return token

    def place(self, token: int) -> Span:
        """Return the characters of a token; none, at the end of all, for one that has none."""
        found: Span | None = self._found.token_to_chars(token)
        return found or (sys.maxsize, sys.maxsize)


class _Listed:
    """The same from a list of all places, so that many spans take no longer each than few."""

    def __init__(self, found: Any) -> None:
        places = np.array(found.offsets, np.int64).reshape(-1, 2)
        self._starts, self._stops = places[:, 0], places[:, 1]
        self.count = len(places)

    def first(self, begin: int, _end: int) -> int:
        return int(np.searchsorted(self._stops, begin, "right"))

    def last(self, _begin: int, end: int) -> int:
        return int(np.searchsorted(self._starts, end, "left")) - 1

    def place(self, token: int) -> Span:
        return int(self._starts[token]), int(self._stops[token])


Places = _Asked | _Listed


def places_of(found: Any, spans: int) -> Places:
    """Return where the tokens of an encoding of the `tokenizers` library lie, to be asked for so many spans."""
    return _Listed(found) if spans > FEW else _Asked(found)


def tokens_between(places: Places, span: Span, content: Span) -> tuple[int, int]:
    """Return the first token that is learned of a span of characters, and the one behind the last.

    They are those that lie within the span, and those that hold any of its content. A token that only reaches into the
    span from outside, or out of it, is not learned.
    """
    begin, end = span
    first, last = places.first(begin, end), places.last(begin, end)
    while first <= last and places.place(first)[0] == places.place(first)[1]:
        first += 1
    while first <= last and places.place(first)[0] < begin and not _overlap(places.place(first), content):
        first += 1
    while first <= last and places.place(last)[1] > end and not _overlap(places.place(last), content):
        last -= 1
    return (first, last + 1) if first <= last else (0, 0)


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and one[1] > other[0]
