"""Say "did you mean" for a name that is not known."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint: the closest known name, or else all of them.

    >>> did_you_mean("learning_rat", ["learning_rate", "seed"])
    "did you mean 'learning_rate'?"
    >>> did_you_mean("colour", ["b", "a"])
    'known names: a, b'
    """
    names = sorted(set(known))
    folded = {known_name.casefold(): known_name for known_name in names}
    close = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    if close:
        return f"did you mean {folded[close[0]]!r}?"
    return f"known names: {', '.join(names)}" if names else "there are none"
