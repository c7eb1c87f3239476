"""Ask a model questions, greedily, many at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

BATCH = 128
ROOM = 8
"""New tokens allowed beyond the longest expected answer of a batch: enough to see that an answer is too long."""


def answer_all(model: Any, tokenizer: Any, conversations: Sequence[list[dict[str, str]]]) -> list[str]:
    """Return the model's answer in place of each conversation's last turn."""
    prompts = [
        tokenizer.apply_chat_template(turns[:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
        for turns in conversations
    ]
    lengths = [len(tokenizer(turns[-1]["content"], add_special_tokens=False)["input_ids"]) for turns in conversations]
    order = sorted(range(len(prompts)), key=lambda index: lengths[index])
    answers = [""] * len(prompts)
    for begin in range(0, len(order), BATCH):
        chosen = order[begin : begin + BATCH]
        room = max(lengths[index] for index in chosen) + ROOM
        for index, text in zip(chosen, _generate(model, tokenizer, [prompts[i] for i in chosen], room), strict=True):
            answers[index] = text
    return answers


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
