"""Text of unknown origin on its way to a terminal."""

from __future__ import annotations

import re

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    r"""Return the text with control characters as visible escapes, so that a terminal shows them and obeys none.

    >>> visible("red \x1b[31m alert\u202e\nnext line")
    'red \\x1b[31m alert\\u202e\nnext line'
    """
    return _CONTROL.sub(lambda found: found.group().encode("unicode_escape").decode(), text)
