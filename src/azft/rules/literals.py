"""Read the lists and mappings that registries keep as text, in JSON's or in Python's spelling; never evaluated.

One pass over the text and a stack of open brackets, so the time is linear in its length, whatever it holds.
"""

from __future__ import annotations

import re
from typing import Any

from attrs import frozen

LONGEST = 1 << 20
"""Characters of a tag that are read at all; the longest of a registry has a few thousand."""
DEEPEST = 50
"""Brackets inside brackets; no tag of a registry comes near."""

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<open>[\[({]) | (?P<close>[\])}]) | (?P<mark>[,:])
      | '(?P<single>(?:[^'\\]|\\.)*)' | "(?P<double>(?:[^"\\]|\\.)*)"
      | (?P<number>[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?(?![\w.]))
      | (?P<word>[A-Za-z]+)(?P<call>\()?
    )""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f", "0": "\0", "\n": ""}
_WORDS = {"True": True, "true": True, "False": False, "false": False, "None": None, "null": None}
_PAIRS = {"[": "]", "(": ")", "{": "}"}
_CALLS = ("ordereddict", "dict", "list", "tuple", "set")
_MOST_DIGITS = 300
_PAIR, _PAIR_AND_COLON = 2, 3
_LAST_CODE_POINT = 0x10FFFF


@frozen
class Unparsable:
    """A text that is not what it should be, kept as it was found."""

    raw: str
    why: str


class _BrokenError(Exception):
    """The text ends or goes on in a way no literal does."""


@frozen
class _Open:
    """A bracket that is not closed yet, with what stands in it so far; a mark is "," or ":"."""

    bracket: str
    items: list[Any]


class _Mark(str):
    """A comma or a colon between items."""

    __slots__ = ()


def read_literal(text: str) -> Any:
    """Return the value a text spells: numbers, texts, lists and mappings of them; `Unparsable` for anything else.

    >>> read_literal("{'a': [1, 'x'], 'b': true}")
    {'a': [1, 'x'], 'b': True}
    >>> read_literal("OrderedDict([('a', '1')])"), read_literal("[").why
    ({'a': '1'}, 'the text ends inside a bracket')
    """
    if len(text) > LONGEST:
        return Unparsable(text, f"it has {len(text):,} characters, more than any tag that says something")
    try:
        return _read(text)
    except _BrokenError as broken:
        return Unparsable(text, str(broken))


def _read(text: str) -> Any:
    stack = [_Open("", [])]
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at, end)
        if found is None:
            start = end - len(text[at:end].lstrip())
            raise _BrokenError(f"character {start + 1} fits nothing")
        at = found.end()
        if found["open"] or found["call"]:
            _open(stack, found)
        elif found["close"]:
            _close(stack, found["close"])
        else:
            stack[-1].items.append(_item(found))
    if len(stack) > 1:
        raise _BrokenError("the text ends inside a bracket")
    if len(stack[0].items) != 1 or isinstance(stack[0].items[0], _Mark):
        raise _BrokenError("there is not one value")
    return stack[0].items[0]


def _open(stack: list[_Open], found: re.Match[str]) -> None:
    if found["call"] and found["word"].lower() not in _CALLS:
        raise _BrokenError(f"{found['word']}(...) is not a value")
    if len(stack) > DEEPEST:
        raise _BrokenError(f"more than {DEEPEST} brackets are open")
    stack.append(_Open("call" if found["call"] else found["open"], []))


def _close(stack: list[_Open], bracket: str) -> None:
    if len(stack) == 1 or _PAIRS.get(stack[-1].bracket, ")") != bracket:
        raise _BrokenError(f"{bracket} closes nothing")
    closed = stack.pop()
    stack[-1].items.append(_built(closed))


def _built(closed: _Open) -> Any:
    entries = _entries(closed.items)
    if closed.bracket == "{" and all(len(entry) == _PAIR_AND_COLON for entry in entries):
        return _mapping([(entry[0], entry[2]) for entry in entries])
    if any(len(entry) != 1 for entry in entries):
        raise _BrokenError("entries are not separated by one comma each")
    values = [entry[0] for entry in entries]
    if closed.bracket != "call":
        return values
    inner = values[0] if len(values) == 1 and isinstance(values[0], list | dict) else values
    pairs = isinstance(inner, list) and inner and all(isinstance(pair, list) and len(pair) == _PAIR for pair in inner)
    return _mapping(list(inner)) if pairs else inner


def _entries(items: list[Any]) -> list[list[Any]]:
    """Split what stands in a bracket at its commas; one comma may stand at the end."""
    entries: list[list[Any]] = [[]]
    for item in items:
        if item == "," and isinstance(item, _Mark):
            entries.append([])
        elif isinstance(item, _Mark) and len(entries[-1]) != 1:
            raise _BrokenError("a colon stands where none can")
        else:
            entries[-1].append(item)
    if not entries[-1]:
        entries.pop()
    return entries


def _mapping(pairs: list[Any]) -> dict[str, Any]:
    if any(not isinstance(key, str) or isinstance(value, _Mark) for key, value in pairs):
        raise _BrokenError("a key is not a text")
    return dict(pairs)


def _item(found: re.Match[str]) -> Any:
    if found["mark"]:
        return _Mark(found["mark"])
    for kind in ("single", "double"):
        if found[kind] is not None:
            return _unescaped(found[kind])
    if found["number"]:
        return _number(found["number"])
    if found["word"] not in _WORDS:
        raise _BrokenError(f"{found['word'][:40]!r} has no quotes")
    return _WORDS[found["word"]]


def _number(text: str) -> int | float:
    if len(text) > _MOST_DIGITS:
        raise _BrokenError("a number has too many digits")
    return float(text) if any(character in ".eE" for character in text) else int(text)


def _unescaped(text: str) -> str:
    if "\\" not in text:
        return text
    plain = _ESCAPE.sub(_character, text)
    return plain.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _character(found: re.Match[str]) -> str:
    code = found[1] or found[2] or found[3]
    if code is None:
        return _PLAIN_ESCAPES.get(found[4], found[4])
    return chr(int(code, 16)) if int(code, 16) <= _LAST_CODE_POINT else "\ufffd"
