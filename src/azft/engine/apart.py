"""Whether a model keeps packed conversations apart: some architectures silently let one read the other."""

from __future__ import annotations

from typing import Any

import torch

from azft.engine.collate import Packed, PackedRows, Padded
from azft.engine.rows import Rows

EXACT, HALF = 1e-3, 0.1
"""Differences that rounding explains, as shares of the largest logit: in 32 bit (1e-6 was measured), and in 16."""
PROBED = 256
"""Tokens of a conversation that are looked at."""


def kept_apart(model: Any, rows: Rows, pad: int, *, flat: bool = False) -> bool:
    """Return whether two conversations have the same logits packed as they have alone; fewer than two always do.

    The shortest two of `rows` are asked, cut to `PROBED` tokens; the model is left as it was.
    """
    if len(rows) < 2:  # noqa: PLR2004 - a pair
        return True
    two = _two(rows)
    whole = PackedRows(two, sum(two.lengths))
    packed = Packed(pad, flat)([whole[0]])
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            together = _logits(model, packed)[0]
            begin = 0
            for member in whole.members(0):
                alone = _logits(model, Padded(pad)([two[member]]))[0]
                here = together[begin : begin + len(alone)]
                begin += len(alone)
                if (here - alone).abs().max() > _allowed(model) * alone.abs().max():
                    return False
    except (TypeError, ValueError):
        return False  # A model that takes no positions cannot be told where a conversation begins.
    finally:
        model.train(training)
    return True


def _two(rows: Rows) -> Rows:
    """Return the shortest two rows, each cut."""
    lengths = rows.lengths
    chosen = sorted(range(len(lengths)), key=lambda index: (lengths[index], index))[:2]
    return Rows.cut([rows[index] for index in chosen], PROBED)


def _logits(model: Any, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
    given = {name: tensor.to(model.device) for name, tensor in tensors.items() if name != "labels"}
    found: torch.Tensor = model(**given, use_cache=False).logits.float()
    return found


def _allowed(model: Any) -> float:
    return EXACT if next(model.parameters()).dtype == torch.float32 else HALF
