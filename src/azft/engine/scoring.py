"""Loss and token accuracy of a model on token rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch

from azft.domain.evaluation import Scores
from azft.engine.collate import Padded
from azft.engine.rows import Rows
from azft.engine.tokens import IGNORE

MOST = 1 << 28
"""Bytes of logits in 32 bit that are held at a time; a batch that would need more is scored in smaller ones."""


def score(model: Any, tokenizer: Any, rows: Rows, batch: int) -> tuple[Scores, list[tuple[int, float]]]:
    """Return the mean loss per learned token and the share predicted right; and of each row its tokens and its loss.

    `batch` rows are scored at a time, fewer where their logits would not be small.
    """
    collate = Padded(tokenizer.pad_token_id)
    model.eval()
    right, items = 0, []
    with torch.inference_mode():
        for begin, end in _passes(rows.lengths, batch, model.config.get_text_config().vocab_size):
            tensors = collate([rows[index] for index in range(begin, end)])
            labels = tensors.pop("labels").to(model.device)[:, 1:]
            tensors = {name: tensor.to(model.device) for name, tensor in tensors.items()}
            logits = model(**tensors, use_cache=False).logits[:, :-1]
            losses, exact = _measured(logits.flatten(0, 1), labels.flatten())
            right += exact
            sums = losses.view(labels.shape).double().sum(1).tolist()
            items += list(zip((labels != IGNORE).sum(1).tolist(), sums, strict=True))
    tokens = sum(count for count, _loss in items)
    total = sum(loss for _count, loss in items)
    return Scores(total / max(tokens, 1), right / max(tokens, 1)), items


def _passes(lengths: Sequence[int], batch: int, vocabulary: int) -> Iterator[tuple[int, int]]:
    """Yield where each batch begins and ends; one row is always taken."""
    begin = 0
    while begin < len(lengths):
        end, longest = begin + 1, lengths[begin]
        while end < min(begin + batch, len(lengths)):
            longest = max(longest, lengths[end])
            if (end + 1 - begin) * longest * vocabulary * 4 > MOST:
                break
            end += 1
        yield begin, end
        begin = end


def _measured(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, int]:
    """Return the loss of each token and how many labels were predicted, a part of the tokens at a time in 32 bit."""
    losses, right = [], 0
    part = max(1, MOST // (4 * logits.shape[-1]))
    for begin in range(0, len(logits), part):
        told, wanted = logits[begin : begin + part].float(), labels[begin : begin + part]
        losses.append(torch.nn.functional.cross_entropy(told, wanted, ignore_index=IGNORE, reduction="none"))
        right += int(((told.argmax(-1) == wanted) & (wanted != IGNORE)).sum())
    return torch.cat(losses), right
