"""How fast a first run may be: from what others have published of runs like it, as a range with its grounds.

A speed is told by U, the share of a GPU's dense peak that the executed operations are (recomputation of activations
included). The range of a class of runs is 0.8 of the least to 1.15 of the most that was published of it; where two
thirds of the published speeds fell when their whole source was left out (tests/test_costs.py). A GPU of which nothing
was published gets a wide guess, which is called one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from statistics import median

from attrs import frozen

from azft.domain.architecture import Architecture

LOW, HIGH = 0.8, 1.15
"""What the ends of a range are to the least and the most that was published."""
ENOUGH = 2
"""Published rows that make a range; fewer are joined by those of other methods."""
LARGE = 1024
"""Tokens of one batch on one device from which on GPUs are well used."""
LIKE: Mapping[str, str] = {"A10": "A10G"}
"""GPUs that are known by a sibling's rows: the A10G is the same chip on another board."""
GUESSES: Mapping[tuple[str, bool], tuple[float, float, float]] = {
    ("V100", True): (6, 15, 30),
    ("V100", False): (4, 10, 25),
    ("T4", True): (3, 10, 25),
    ("A10", True): (10, 30, 50),
    ("H100", False): (3, 12, 45),
    ("H200", True): (20, 38, 60),
    ("H200", False): (3, 12, 45),
}
ANY: tuple[float, float, float] = (3, 20, 55)
"""Percent of the peak for GPUs of which not even that is known."""


@frozen
class Published:
    """One published speed: `utilisation` is U in percent, `large` whether its batches fill a GPU."""

    source: str
    gpu: str
    gpus: int
    model: str
    method: str
    sequence: int
    checkpointing: bool
    tokens_per_second: float
    utilisation: float
    large: bool


@frozen
class Utilisation:
    """U in percent, low and high, the middle, and what that rests on."""

    low: float
    typical: float
    high: float
    grounds: str


def utilisation(gpu: str, method: str, rows: Iterable[Published], *, large: bool) -> Utilisation:
    """Return the range for a kind of GPU, a method ("LoRA" or "full"), and batches that are large or not.

    >>> utilisation("Cray", "LoRA", (), large=True).grounds
    'a guess: too little was published of Cray'
    """
    ours = [row for row in rows if row.gpu == LIKE.get(gpu, gpu) and row.large == large]
    same = [row for row in ours if row.method == method]
    chosen = same if len(same) >= ENOUGH else ours
    guess = GUESSES.get((gpu, large))
    if len(chosen) < ENOUGH or (guess is not None and gpu in {"V100", "T4"}):
        low, typical, high = guess or ANY
        return Utilisation(low, typical, high, f"a guess: too little was published of {gpu or 'that GPU'}")
    found = [row.utilisation for row in chosen]
    grounds = f"{len(found)} published speeds of {gpu}"
    return Utilisation(LOW * min(found), median(found), HIGH * max(found), grounds)


def operations(shape: Architecture, *, lora: bool, sequence: float, checkpointing: bool) -> float:
    """Return the operations executed for one token.

    6N + 6Lhs for training everything, 4N + 6Lhs where the base takes no gradients; recomputing activations adds
    2N + 2Lhs.

    >>> llama2_7b = Architecture(4096, 32, 32, 32, 11008, 32000, 4096)
    >>> round(operations(llama2_7b, lora=True, sequence=4096, checkpointing=False) / 1e9)
    30
    """
    attention = shape.layers * shape.hidden * sequence
    weights = shape.active_parameters
    recomputed = 2 * weights + 2 * attention if checkpointing else 0.0
    return (4 if lora else 6) * weights + 6 * attention + recomputed


def speeds(used: Utilisation, per_token: float, *, peak: float, gpus: int) -> tuple[float, float]:
    """Return tokens a second of all GPUs together, slow and fast; `peak` is dense TFLOPS of one."""
    whole = peak * 1e12 * gpus / per_token / 100
    return whole * used.low, whole * used.high
