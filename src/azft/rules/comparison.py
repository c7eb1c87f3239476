"""How long two models take to be compared on what was held out: read in one pass each, and asked a few questions."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import frozen

from azft.domain.architecture import Architecture
from azft.domain.compute import Compute
from azft.rules.throughput import LARGE, Published, operations, speeds, utilisation

READ_AT_ONCE = 8
"""Conversations that a job of its own reads in one pass (azft.stages.judging)."""
SCORES = 1 << 28
"""Bytes of scores that a pass holds at most, 4 for each token and entry of the vocabulary (azft.engine.scoring)."""
ASKED_AT_ONCE = 64
"""Questions that are answered together (azft.engine.answering)."""
ANSWER = 256
"""Tokens that an answer may have where none is expected; one that is expected is taken to be as long as a row."""
TOKEN = (0.02, 0.12)
"""Seconds for one more token of the answers to one batch of questions. A judgement; nobody has published them."""
MODELS = 2


@frozen
class Comparison:
    """What is compared: held-out rows, their mean length in tokens, questions that are answered, and rows of a pass."""

    rows: int
    row: float
    answers: int
    batch: int = READ_AT_ONCE


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
    together = max(work.row, min(work.batch * work.row, SCORES / (4 * shape.vocabulary)))
    used = utilisation(compute.gpu, "full", published, large=together >= LARGE)
    per_token = operations(shape, lora=False, sequence=work.row, checkpointing=False) / 3
    slow, fast = speeds(used, per_token, peak=compute.peak, gpus=1)
    tokens = MODELS * work.rows * work.row
    batches = -(-work.answers // ASKED_AT_ONCE)
    # An answer may end at once.
    low, high = MODELS * batches * TOKEN[0], MODELS * batches * max(ANSWER, work.row) * TOKEN[1]
    return tokens / fast + low, tokens / slow + high
