"""An answer that comes piece by piece, as OpenAI's chat completions send it: server-sent events."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import orjson

_END = b"[DONE]"


class BrokenOffError(ValueError):
    """The stream ended before it said so."""


def pieces(lines: Iterable[bytes]) -> Iterator[str]:
    """Yield the text of each event; `ValueError`, `LookupError` or `TypeError` for what is no stream of an answer.

    >>> said = b'data: {"choices": [{"delta": {"content": "Hi"}}]}'
    >>> list(pieces([said, b"", b"data: [DONE]"]))
    ['Hi']
    """
    for line in lines:
        if not line.startswith(b"data:"):
            continue
        content = line.removeprefix(b"data:").strip()
        if content == _END:
            return
        choices = orjson.loads(content)["choices"]
        text = choices[0]["delta"].get("content") if choices else ""
        if text:
            yield str(text)
    raise BrokenOffError("the answer broke off")
