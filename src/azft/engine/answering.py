"""Ask a model questions, greedily, many at a time."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch

from azft.engine.tokens import ChatTokenizer, Row

BATCH = 64
OPEN = 248
"""New tokens allowed where no answer is expected, beside `ROOM`."""
ROOM = 8
"""New tokens allowed beyond the longest expected answer of a batch: enough to see that an answer is too long."""


def answer_all(
    model: Any, reads: ChatTokenizer, rows: Sequence[Row], told: Callable[[int], None] = lambda _count: None
) -> list[str]:
    """Return the model's answer in place of each conversation's last turn; `told` is how many more were answered.

    A last turn that is empty expects nothing, and gets room for an answer of some length.
    """
    tokenizer = reads.tokenizer

    def tokens(text: str) -> list[int]:
        found: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        return found

    prompts = [
        tokens(reads.template_for(row).text(row["messages"][:-1], row.get("tools"), prompt=True)) for row in rows
    ]
    lengths = [len(tokens(row["messages"][-1]["content"])) for row in rows]
    context = _context(model)
    # A question that fills all that the model reads gets no answer.
    able = (index for index, prompt in enumerate(prompts) if len(prompt) < context)
    order = sorted(able, key=lambda index: lengths[index])
    answers = [""] * len(prompts)
    for begin in range(0, len(order), BATCH):
        chosen = order[begin : begin + BATCH]
        wanted = max(lengths[index] or OPEN for index in chosen) + ROOM
        room = min(wanted, context - max(len(prompts[index]) for index in chosen))
        for index, text in zip(chosen, _generate(model, tokenizer, [prompts[i] for i in chosen], room), strict=True):
            answers[index] = text
        told(len(chosen))
    told(len(prompts) - len(order))
    return answers


def _context(model: Any) -> int:
    """Return how many tokens the model reads at most."""
    config = model.config.get_text_config()
    return int(getattr(config, "max_position_embeddings", 0) or sys.maxsize)


def _generate(model: Any, tokenizer: Any, prompts: Sequence[list[int]], room: int) -> list[str]:
    longest = max(map(len, prompts))
    padded = [[tokenizer.pad_token_id] * (longest - len(prompt)) + prompt for prompt in prompts]
    mask = [[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts]
    model.eval()
    with torch.inference_mode():
        out = model.generate(
            input_ids=torch.tensor(padded, device=model.device),
            attention_mask=torch.tensor(mask, device=model.device),
            max_new_tokens=room,
            do_sample=False,
            temperature=None,
            top_p=None,
            top_k=None,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=ends(tokenizer, model),
            use_cache=True,
        )
    texts: list[str] = tokenizer.batch_decode(out[:, longest:], skip_special_tokens=True)
    return [text.strip() for text in texts]


def ends(tokenizer: Any, model: Any) -> list[int]:
    """Return every token that ends an answer: the tokenizer's, the model's own, and Phi-3's end of turn."""
    own = model.generation_config.eos_token_id
    known = {tokenizer.eos_token_id, *(own if isinstance(own, list) else [own])}
    end_of_turn = tokenizer.get_vocab().get("<|end|>")
    return sorted(token for token in {*known, end_of_turn} if token is not None)
