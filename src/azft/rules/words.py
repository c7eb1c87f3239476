"""Numbers of things in words."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "bad row"), counted(1200, "row")
    ('1 bad row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def trained_on(prompts: int) -> str:
    """Return what is said of test prompts that were trained on.

    >>> trained_on(12)
    '12 test prompts were trained on and are not counted'
    """
    verbs = "was trained on and is" if prompts == 1 else "were trained on and are"
    return f"{counted(prompts, 'test prompt')} {verbs} not counted"
