"""What may be trained on beside plain turns, by the names that backends say they take it under."""

MASKS = "masks"
"""Answers that are marked as not to be learned."""
TOOLS = "tools"
"""Tool calls, where the model's chat template is proved to write them."""
UNSEEN_TOOLS = "unseen tools"
"""Tool calls as they are, where nobody here can see what becomes of them."""
EVERYTHING = frozenset({MASKS, TOOLS})
