"""What training numbers mean."""

from __future__ import annotations

UNMOVED = 0.02
"""A held-out loss that falls by less than this share has not moved (a judgement, not a law)."""


def loss_warning(before: float, after: float) -> str:
    """Return a warning when tuning did not help, or nothing.

    >>> loss_warning(6.77, 6.768)
    'the loss did not move (6.770 to 6.768): raise learning_rate or num_train_epochs'
    >>> loss_warning(7.2, 1.1)
    ''
    """
    if after > before:
        return f"the loss rose ({before:.3f} to {after:.3f}): lower learning_rate or look for overfitting"
    if before - after < UNMOVED * before:
        return f"the loss did not move ({before:.3f} to {after:.3f}): raise learning_rate or num_train_epochs"
    return ""
