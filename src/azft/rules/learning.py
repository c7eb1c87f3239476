"""Marks that keep a turn of a conversation out of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.domain.rows import Fault

LEARN = ("weight", "train", "loss", "trainable")
"""Names of a mark that is 1 or true for a turn to learn: OpenAI's, Axolotl's, ms-swift's, and others' own."""
SKIP = ("masked", "mask", "ignore")
"""Names of a mark that is true for a turn that is not to be learned."""
MASK = "weight"
"""What prepared files call it: OpenAI's name, 0 for a turn that is not learned."""


def is_masked(message: Mapping[str, Any]) -> bool:
    """Return whether a turn of a prepared file is kept out of the loss."""
    return message.get(MASK) == 0


def mark_of(message: Mapping[str, Any], number: int) -> tuple[bool, Fault | None]:
    """Return whether the turn's own marks keep it out of the loss, and what is wrong with them.

    >>> mark_of({"weight": 0}, 1), mark_of({"train": True}, 1), mark_of({"weight": 0.5}, 2)[1].reason
    ((True, None), (False, None), "message 2 has 'weight' 0.5, expected 0 or 1")
    """
    masked = False
    for names, learned in ((LEARN, True), (SKIP, False)):
        for name in names:
            value = message.get(name)
            if value is None:
                continue
            if value not in (0, 1):
                said = f"message {number} has {name!r} {value!r:.40}, expected 0 or 1"
                return False, Fault("AZFT-R006", said, "a turn is learned or it is not")
            masked = masked or bool(value) != learned
    return masked, None
