"""The loss of a batch, a part of its tokens at a time: softmax and gradients of all logits are never held at once."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from azft.engine.tokens import IGNORE

MOST = 1 << 26
"""Bytes of logits in 32 bit that are held at a time, in training also of their softmax and gradient."""


def loss_in_parts(outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None) -> Any:
    """Return the mean cross-entropy of the next tokens, as transformers' own loss; Trainer's `compute_loss_func`.

    `labels` are (rows, tokens) and not shifted; the sum is divided by `num_items_in_batch`, the learned tokens of all
    passes of a step, or by those of this batch without. What a part needs for its backward pass is computed again.
    """
    logits = outputs.logits.flatten(0, 1)
    wanted = torch.nn.functional.pad(labels, (0, 1), value=IGNORE)[:, 1:].to(logits.device).flatten()
    size = max(1, MOST // (4 * logits.shape[-1]))
    parts: Any = logits.split(size)
    total: Any = sum(
        checkpoint(_summed, part, told, use_reentrant=False)
        for part, told in zip(parts, wanted.split(size), strict=True)  # type: ignore[no-untyped-call]
    )
    count = (wanted != IGNORE).sum() if num_items_in_batch is None else num_items_in_batch
    return total / (count.to(total.device) if torch.is_tensor(count) else count)


def _summed(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.cross_entropy(logits.float(), labels, ignore_index=IGNORE, reduction="sum")
