"""What makes text blank, invalid, or the same as another."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

import orjson
import xxhash

BLANK = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"
)
"""Unicode's spaces, and the characters of no width: a text of these alone says nothing."""
_PLAIN = ("role", "content")
_LOOKED_AT, _SIGNS = 48, 16
"""Characters at the end of a conversation, and how many signs of them without spaces stand for it."""
_UNEVEN = b"\t\n\r\v\f\x1c\x1d\x1e\x1f"
"""White space of ASCII that is no plain space."""
_INDENTED = re.compile(r"\n[^\S\n]+\S")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def is_blank(text: str) -> bool:
    r"""Return whether a text has nothing to read.

    >>> is_blank(""), is_blank("\u3000\n\u200b"), is_blank(" a ")
    (True, True, False)
    """
    return not text.strip(BLANK)


def has_surrogate(text: str) -> bool:
    """Return whether the text holds half of a surrogate pair, which no encoding takes."""
    return bool(_SURROGATE.search(text))


def was_not_utf8(text: str) -> bool:
    """Return whether the text was decoded with `surrogateescape` from bytes that are not UTF-8."""
    return bool(_ESCAPED_BYTE.search(text))


def without_surrogates(text: str) -> str:
    """Return the text without halves of surrogate pairs."""
    return _SURROGATE.sub("", text)


def normalised(text: str) -> bytes:
    r"""Return the text in one case, with one space for white space but for the indentation of lines, for comparing.

    >>> normalised("  What IS\n\tLoRA? "), normalised("Sum of 1 20?") == normalised("Sum of 12 0?")
    (b'what is\n\tlora?', False)
    >>> normalised("Straße\u3000 9") == normalised("STRASSE 9"), normalised("a\n\nb") == normalised("A b")
    (True, True)
    """
    if not text.isascii():
        return _spaced(text.casefold()).encode()
    plain = text.encode().lower().strip()
    if b"  " in plain or len(plain.translate(None, _UNEVEN)) != len(plain):
        return _spaced(plain.decode()).encode()
    return plain


def _spaced(text: str) -> str:
    text = text.strip()
    if not _INDENTED.search(text):
        return " ".join(text.split())
    lines = ((line[: len(line) - len(line.lstrip())], line.split()) for line in text.splitlines())
    joined = [(indent if words else "", " ".join(words)) for indent, words in lines if words]
    return "".join(f"\n{indent}{line}" if indent else f" {line}" for indent, line in joined)[1:]


def prompt_print(messages: Sequence[Mapping[str, Any]]) -> bytes:
    """Return the 128-bit fingerprint of a conversation's prompt: all before the first answer, normalised.

    Two different prompts have the same one with a probability of 2**-128; it is XXH3, so it resists chance and not
    somebody who looks for such a pair.
    """
    first = messages[0]
    if first["role"] == "user":
        return xxhash.xxh3_128_digest(normalised(first["content"]))
    prompt = takewhile(lambda message: message["role"] != "assistant", messages)
    return xxhash.xxh3_128_digest(b"\0".join(normalised(_said(message)) for message in prompt))


def ending_print(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return 32 bits that two conversations share if they are equal but for case and white space, and few others do.

    It looks at the last signs alone, so that most conversations with one prompt are told apart without reading them.
    """
    last = messages[-1]
    said = last["content"] if len(last) == len(_PLAIN) else _said(last)
    signs = "".join(said[-_LOOKED_AT:].casefold().split())
    if len(signs) < _SIGNS < len(said):
        signs = "".join(said.casefold().split())
    return zlib.crc32(signs[-_SIGNS:].encode("utf-8", "surrogatepass"))


def _said(message: Mapping[str, Any]) -> str:
    """Return what a message says: its content, and its tool calls where it has any."""
    calls = message.get("tool_calls")
    mark = "" if message.get("weight") is None else f"\0{message['weight']}"
    return (message["content"] or "") + (orjson.dumps(calls).decode() if calls else "") + mark


def conversation_print(messages: Sequence[Mapping[str, Any]], *, exact: bool) -> bytes:
    """Return the fingerprint of a whole conversation, to the letter or normalised."""
    parts = (
        part
        for message in messages
        for part in (
            message["role"].encode(),
            _said(message).encode() if exact else normalised(_said(message)),
        )
    )
    return xxhash.xxh3_128_digest(b"\0".join(parts))
