"""Conversations as the model reads them, the tokens it learns marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from azft.engine.tokens import IGNORE, ChatTokenizer, Row
from azft.escapes import visible
from azft.rules.learning import is_masked

if TYPE_CHECKING:
    from rich.text import Text

OPEN, CLOSE = "[[", "]]"
"""Around what is learned, where there is no colour."""
WHOLE = 1 << 30


def first_rows(path: Path, count: int) -> Iterator[Row]:
    """Yield the first rows of a prepared file."""
    with path.open("rb") as lines:
        for _number, line in zip(range(count), lines, strict=False):
            yield orjson.loads(line)


def spans(tokenizer: ChatTokenizer, row: Row, limit: int) -> list[tuple[str, bool]]:
    """Return (decoded text, whether it is learned) for each run of tokens, in order."""
    found = tokenizer.encode(row, limit or WHOLE)
    pairs = zip(found.ids.tolist(), (found.labels != IGNORE).tolist(), strict=True)
    decode: Any = tokenizer.tokenizer.decode
    return [
        (decode([token for token, _ in run], skip_special_tokens=False, clean_up_tokenization_spaces=False), learned)
        for learned, run in groupby(pairs, key=lambda pair: pair[1])
    ]


def turns(row: Row) -> list[tuple[str, bool]]:
    """Return (text, whether it is learned) for each message, where no tokenizer tells what the model reads.

    A row of another task than chat is shown column by column.
    """
    if "messages" not in row:
        return [(f"{name}: {value}\n", False) for name, value in row.items() if value is not None]
    return [
        (f"{message['role']}: {message['content']}\n", message["role"] == "assistant" and not is_masked(message))
        for message in row["messages"]
    ]


def marked(parts: Sequence[tuple[str, bool]]) -> Text:
    """Return the text with what is learned in green, and between brackets for where there is no colour."""
    from rich.text import Text

    shown = Text()
    for text, learned in parts:
        plain = visible(text)
        shown.append(f"{OPEN}{plain}{CLOSE}" if learned else plain, "green" if learned else "dim")
    return shown
