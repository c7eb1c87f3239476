"""Conversations as the model reads them, the tokens it learns marked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from azft.engine.counting import TokenCounter
from azft.engine.tokens import IGNORE, encode

if TYPE_CHECKING:
    from rich.text import Text

OPEN, CLOSE = "[[", "]]"
"""Around what is learned, where there is no colour."""
WHOLE = 1 << 30


def first_conversations(path: Path, count: int) -> Iterator[Sequence[Mapping[str, str]]]:
    """Yield the messages of the first rows of a prepared file."""
    with path.open("rb") as lines:
        for _number, line in zip(range(count), lines, strict=False):
            yield orjson.loads(line)["messages"]


def spans(counter: TokenCounter, messages: Sequence[Mapping[str, str]], limit: int) -> list[tuple[str, bool]]:
    """Return (decoded text, whether it is learned) for each run of tokens, in order."""
    found = encode(counter.tokenizer, messages, limit or WHOLE)
    pairs = zip(found.ids, (label != IGNORE for label in found.labels), strict=True)
    decode: Any = counter.tokenizer.decode
    return [
        (decode([token for token, _learned in run], skip_special_tokens=False), learned)
        for learned, run in groupby(pairs, key=lambda pair: pair[1])
    ]


def marked(parts: Sequence[tuple[str, bool]]) -> Text:
    """Return the text with what is learned in green, and between brackets for where there is no colour."""
    from rich.text import Text

    shown = Text()
    for text, learned in parts:
        shown.append(f"{OPEN}{text}{CLOSE}" if learned else text, "green" if learned else "dim")
    return shown
