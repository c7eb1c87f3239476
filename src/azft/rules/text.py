"""What makes text blank, invalid, or the same as another."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile

import xxhash

BLANK = (
    "\t\n\v\f\r\x1c\x1d\x1e\x1f \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u2028\u2029\u202f\u205f\u3000\u200b\u200c\u200d\u2060\ufeff"
)
"""Unicode's spaces, and the characters of no width: a text of these alone says nothing."""
_SPACES = bytes(code for code in range(128) if chr(code).isspace())
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
    r"""Return the text in one case and without white space, for comparing.

    >>> normalised("  What IS\n\tLoRA? "), normalised("Straße\u3000 9") == normalised("STRASSE9")
    (b'whatislora?', True)
    """
    if text.isascii():
        return text.encode().lower().translate(None, _SPACES)
    return "".join(text.split()).casefold().encode()


def prompt_print(messages: Sequence[Mapping[str, str]]) -> bytes:
    """Return the 128-bit fingerprint of a conversation's prompt: all before the first answer, normalised.

    Two different prompts have the same one with a probability of 2**-128; it is XXH3, so it resists chance and not
    somebody who looks for such a pair.
    """
    first = messages[0]
    if first["role"] == "user":
        return xxhash.xxh3_128_digest(normalised(first["content"]))
    prompt = takewhile(lambda message: message["role"] != "assistant", messages)
    return xxhash.xxh3_128_digest(b"\0".join(normalised(message["content"]) for message in prompt))


def conversation_print(messages: Sequence[Mapping[str, str]], *, exact: bool) -> bytes:
    """Return the fingerprint of a whole conversation, to the letter or normalised."""
    parts = (
        part
        for message in messages
        for part in (
            message["role"].encode(),
            message["content"].encode() if exact else normalised(message["content"]),
        )
    )
    return xxhash.xxh3_128_digest(b"\0".join(parts))
