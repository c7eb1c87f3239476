"""Loss and token accuracy of a model on token rows."""

from __future__ import annotations

from typing import Any

import torch

from azft.domain.evaluation import Scores
from azft.engine.collate import Padded
from azft.engine.rows import Rows
from azft.engine.tokens import IGNORE


def score(model: Any, tokenizer: Any, rows: Rows, batch: int) -> tuple[Scores, int]:
    """Return the mean loss per learned token and the share predicted right, and the number of learned tokens."""
    collate = Padded(tokenizer.pad_token_id)
    model.eval()
    total, right, tokens = 0.0, 0, 0
    with torch.inference_mode():
        for begin in range(0, len(rows), batch):
            tensors = collate([rows[index] for index in range(begin, min(begin + batch, len(rows)))])
            labels = tensors.pop("labels").to(model.device)[:, 1:]
            tensors = {name: tensor.to(model.device) for name, tensor in tensors.items()}
            logits = model(**tensors, use_cache=False).logits[:, :-1].float()
            loss = torch.nn.functional.cross_entropy(
                logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum"
            )
            learned = labels != IGNORE
            total += loss.item()
            right += int(((logits.argmax(-1) == labels) & learned).sum())
            tokens += int(learned.sum())
    return Scores(total / max(tokens, 1), right / max(tokens, 1)), tokens
