"""Marks that keep a turn of a conversation out of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.rows import Fault

LEARN = ("weight", "train", "loss", "trainable", "training", "learn", "loss_weight", "loss_mask")
"""Names of a mark that is 1 or true for a turn to learn: OpenAI's, Axolotl's, ms-swift's, and others' own."""
SKIP = ("masked", "mask", "ignore")
"""Names of a mark that is true for a turn that is not to be learned."""
PARTS = ("train_detail", "loss_detail")
"""Names of marks of parts of an answer, which no trainer here takes."""
MASK = "weight"
"""What prepared files call it: OpenAI's name, 0 for a turn that is not learned."""


def is_masked(message: Mapping[str, Any]) -> bool:
    """Return whether a turn of a prepared file is kept out of the loss."""
    return message.get(MASK) == 0


def is_mark(name: str) -> bool:
    """Return whether a field of a message tells what is learned of it."""
    return name.lower() in (*LEARN, *SKIP)


def mark_of(message: Mapping[str, Any], number: int) -> tuple[bool, Fault | None]:
    """Return whether the turn's own marks keep it out of the loss, and what is wrong with them.

    >>> mark_of({"weight": 0}, 1), mark_of({"Train": True}, 1), mark_of({"weight": 0.5}, 2)[1].reason
    ((True, None), (False, None), "message 2 has 'weight' 0.5, expected 0 or 1")
    """
    masked = False
    for name, value in message.items():
        plain = str(name).lower()
        if value is None or plain not in (*LEARN, *SKIP, *PARTS):
            continue
        if plain in PARTS:
            said = f"message {number} has {name!r}, which marks parts of it, and answers are learned as a whole or not"
            return False, Fault("AZFT-R015", said, "mark the whole turn, or leave the row out")
        if not isinstance(value, bool | int | float) or value not in (0, 1):
            said = f"message {number} has {name!r} {value!r:.40}, expected 0 or 1"
            return False, Fault("AZFT-R006", said, "a turn is learned or it is not")
        masked = masked or bool(value) != (plain in LEARN)
    return masked, None
