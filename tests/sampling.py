"""What takes long as a whole is taken in samples; `AZFT_WHOLE=1` takes all of it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
WHOLE = os.environ.get("AZFT_WHOLE") == "1"


def sampled(whole: Sequence[T], sample: Sequence[T]) -> Sequence[T]:
    """Return the whole where it is asked for, else the sample."""
    return whole if WHOLE else sample
