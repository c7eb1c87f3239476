"""From a conversation to token ids, and which of them are learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import frozen

from azft.errors import DatasetError

IGNORE = -100
"""The label that the loss skips (torch.nn.CrossEntropyLoss, ignore_index)."""


@frozen
class Encoded:
    """Token ids and labels of one conversation; a label is the id where it is learned, else -100."""

    ids: list[int]
    labels: list[int]
    truncated: bool

    @property
    def learned(self) -> int:
        """How many tokens are learned; the first one has nothing before it and never is."""
        return sum(label != IGNORE for label in self.labels[1:])


def encode(tokenizer: Any, messages: Sequence[Mapping[str, str]], limit: int) -> Encoded:
    """Render with the tokenizer's chat template; only the assistant's tokens are learned; cut at `limit` tokens."""
    if "{% generation" in tokenizer.chat_template or "{%- generation" in tokenizer.chat_template:
        ids, mask = _by_markers(tokenizer, messages)
    else:
        ids, mask = _by_prefixes(tokenizer, messages)
    labels = [token if learned else IGNORE for token, learned in zip(ids, mask, strict=True)]
    return Encoded(ids[:limit], labels[:limit], truncated=len(ids) > limit)


def _by_markers(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> tuple[list[int], list[int]]:
    rendered = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    return list(rendered["input_ids"]), list(rendered["assistant_masks"])


def _by_prefixes(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> tuple[list[int], list[int]]:
    """Find each assistant turn as the text that a longer conversation adds to a shorter one."""
    text = tokenizer.apply_chat_template(messages, tokenize=False)
    spans = []
    for number, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = tokenizer.apply_chat_template(messages[:number], tokenize=False, add_generation_prompt=True)
        after = tokenizer.apply_chat_template(messages[: number + 1], tokenize=False)
        if not text.startswith(before):
            raise DatasetError(
                "the chat template renders a conversation differently from its beginning",
                hint="mark the assistant's part of the template with {% generation %} ... {% endgeneration %}",
            )
        spans.append((len(before), _common(text, after)))
    encoded = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    mask = [int(any(begin < stop and start < end for begin, end in spans)) for start, stop in encoded["offset_mapping"]]
    return list(encoded["input_ids"]), mask


def _common(text: str, other: str) -> int:
    """Return how far the two texts agree: some templates end the last turn differently."""
    if text.startswith(other):
        return len(other)
    return next(index for index, (one, two) in enumerate(zip(text, other, strict=False)) if one != two)
