"""Estimate tokens from bytes: a ratio fitted on rows that were counted, and its error on others that were."""

from __future__ import annotations

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

Sizes = NDArray[np.float64]
"""For each row its bytes as a line of JSON, and its number of messages."""
BYTES_PER_TOKEN, MESSAGE_TOKENS = 4.4, -3.0
"""English in the tokenizers of chat models, for when there is no tokenizer; meant to within a quarter.

A message's 33 bytes of JSON around its content would be 7.5 tokens, and a chat template writes 4 or 5 in their place.
"""


@frozen
class Ratio:
    """Tokens are `per_byte` for each byte and `per_message` for each message; `error` is (median, 99th percentile)."""

    per_byte: float
    per_message: float
    error: tuple[float, float]

    def tokens(self, sizes: Sizes) -> NDArray[np.int64]:
        """Return the estimated tokens of each row, at least one."""
        return np.maximum(np.rint(sizes @ [self.per_byte, self.per_message]), 1).astype(np.int64)


UNCALIBRATED = Ratio(1 / BYTES_PER_TOKEN, MESSAGE_TOKENS, (0.0, 0.25))


def fit(sizes: Sizes, tokens: NDArray[np.int64]) -> Ratio:
    """Fit on every other row, and tell the relative error on the rest; relative errors are what is made small.

    >>> sizes = np.array([[100.0, 2], [200, 2], [400, 6], [900, 2], [50, 4], [640, 2]])
    >>> found = fit(sizes, (sizes @ [0.25, 5]).astype(np.int64))
    >>> round(found.per_byte, 2), round(found.per_message)
    (0.25, 5)
    """
    weights = 1 / np.maximum(tokens, 1)
    found = _solved(sizes[::2], weights[::2])
    errors = np.abs(sizes @ found * weights - 1)
    rest = errors[1::2] if len(errors) > 1 else errors
    return Ratio(float(found[0]), float(found[1]), (float(np.median(rest)), float(np.quantile(rest, 0.99))))


def _solved(sizes: Sizes, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Least squares; where a coefficient would be negative, bytes alone."""
    scaled = sizes * weights[:, None]
    both = np.linalg.lstsq(scaled, np.ones(len(scaled)), rcond=None)[0]
    if (both >= 0).all():
        return np.asarray(both, np.float64)
    only = np.linalg.lstsq(scaled[:, :1], np.ones(len(scaled)), rcond=None)[0]
    return np.array([float(only[0]), 0.0])
