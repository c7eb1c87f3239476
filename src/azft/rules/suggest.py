"""Say "did you mean" for a name that is not known: a near name, or else the likeliest few."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

NEAR, LIKELY = 0.75, 0.45
"""How alike two names are (0 to 1) for one to be meant, and for one to be worth a mention."""
FEW = 8
"""Names that are few enough to list them all."""
SHOWN = 3


def near(name: str, known: Iterable[str]) -> str:
    """Return the known name that was meant, or nothing.

    >>> near("learning_rat", ["learning_rate", "seed"]), near("Meta-Llama-3-8B-Instruct", ["falcon-7b-instruct"])
    ('learning_rate', '')
    """
    score, found = max(((_alike(name, other), other) for other in known), default=(0.0, ""))
    return found if score >= NEAR else ""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return a hint: the name that was meant, else all of a few, else the likeliest of many.

    >>> did_you_mean("learning_rat", ["learning_rate", "seed"])
    "did you mean 'learning_rate'?"
    >>> did_you_mean("colour", ["b", "a"])
    'known names: a, b'
    >>> did_you_mean("lr", ["learning_rate", "lora_r", *map(str, range(20))])
    "the likeliest of the 22 known names: 'learning_rate', 'lora_r'"
    """
    names = sorted(set(known))
    if meant := near(name, names):
        return f"did you mean {meant!r}?"
    if len(names) <= FEW:
        return f"known names: {', '.join(names)}" if names else "there are none"
    ranked = sorted(names, key=lambda other: -_likely(name, other))[:SHOWN]
    likely = [other for other in ranked if _likely(name, other) >= LIKELY]
    listed = ", ".join(map(repr, likely or names[:SHOWN]))
    return f"the {'likeliest' if likely else 'first'} of the {len(names)} known names: {listed}"


def _alike(name: str, other: str) -> float:
    one, two = name.casefold(), other.casefold()
    # Digits tell sizes and versions apart: names that differ in nothing else are not each other's misspelling.
    words_apart = re.sub(r"\d", "", one) == re.sub(r"\d", "", two)
    return 0.0 if words_apart and one != two and len(one) == len(two) else difflib.SequenceMatcher(a=one, b=two).ratio()


def _likely(name: str, other: str) -> float:
    """Return how likely a short name stands for a long one: its initials, a part of it, or its spelling."""
    one, two = name.casefold(), other.casefold()
    initials = "".join(word[0] for word in re.split(r"[\W_]+", two) if word)
    if one in (initials, initials[-len(one) :], initials[: len(one)]):
        return 0.95 if one == initials else 0.6
    return 0.9 if len(one) > SHOWN and one in two else difflib.SequenceMatcher(a=one, b=two).ratio()
