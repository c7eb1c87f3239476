"""Conversations to token rows, outside a run as within one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from azft.errors import DatasetError

if TYPE_CHECKING:
    from azft.engine.rows import Rows


def tokens(rows: Iterable[dict[str, Any]], tokenizer: Any, *, limit: int = 0) -> Rows:
    """Return the token rows of conversations, as the engine makes them: ids, and labels where an answer is learned.

    `rows` are objects with `messages` (and `tools`); `tokenizer` is one of transformers' with a chat template. Longer
    rows than `limit` tokens are cut, 0 for none. The result has a length and rows by number, `{"input_ids": [...],
    "labels": [...]}`, so it is a dataset for torch. `DatasetError` for a conversation that the template does not take.
    """
    from azft.engine.rendering import TemplateRefusalError
    from azft.engine.rows import Rows
    from azft.engine.tokens import ChatTokenizer

    reads = tokenizer if isinstance(tokenizer, ChatTokenizer) else ChatTokenizer(tokenizer)
    encoded = []
    for number, one in enumerate(reads.encode_all(rows, limit or 1 << 30), start=1):
        if isinstance(one, TemplateRefusalError):
            raise DatasetError(f"row {number}: {one.message}", hint="leave it out, or give another chat template")
        encoded.append(one)
    return Rows.of(encoded)
