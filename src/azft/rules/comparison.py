"""How long two models take to be compared on what was held out: read in one pass each, and asked a few questions."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from azft.domain.architecture import Architecture
from azft.domain.compute import Compute
from azft.rules.throughput import LARGE, Published, operations, speeds, utilisation

READ_AT_ONCE = 8
"""Conversations that are read in one pass (azft.stages.judging)."""
ASKED_AT_ONCE = 64
"""Questions that are answered together, and the most tokens of an answer (azft.engine.answering)."""
LONGEST_ANSWER = 256
TOKEN = (0.02, 0.12)
"""Seconds for one more token of the answers to one batch of questions. A judgement; nobody has published them."""
MODELS = 2


@frozen
class Comparison:
    """What is compared: held-out rows, their mean length in tokens, and questions that are answered."""

    rows: int
    row: float
    answers: int


def comparing(
    shape: Architecture, compute: Compute, work: Comparison, published: Iterable[Published]
) -> tuple[float, float]:
    """Return the seconds of comparing base and tuned model on one GPU, low and high; loading them is not included.

    A pass that only reads takes a third of the operations of one that trains everything.

    >>> shape = Architecture(3072, 32, 32, 32, 8192, 32064, 4096)
    >>> low, high = comparing(shape, Compute("c", "s", gpus=1, gpu="A100", peak=312.0), Comparison(1000, 500.0, 4), ())
    >>> 10 < low < high < 1000
    True
    """
    large = READ_AT_ONCE * work.row >= LARGE
    used = utilisation(compute.gpu, "full", published, large=large)
    per_token = operations(shape, lora=False, sequence=work.row, checkpointing=False) / 3
    slow, fast = speeds(used, per_token, peak=compute.peak, gpus=1)
    tokens = MODELS * work.rows * work.row
    batches = -(-work.answers // ASKED_AT_ONCE)
    # An answer may end at once, and takes all the room there is at most.
    low, high = MODELS * batches * TOKEN[0], MODELS * batches * LONGEST_ANSWER * TOKEN[1]
    return tokens / fast + low, tokens / slow + high
