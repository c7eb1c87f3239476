"""Write the offline sample: chat rows in ultrachat's schema, from a list of facts and a list of phrasings.

Run `python tools/make_sample.py` after changing either list; a test says when the shipped files are stale.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).parent
SHIPPED = HERE.parent / "src" / "azft" / "snapshot" / "ultrachat_sample"

PHRASINGS = (
    "What is {}?",
    "Explain {}.",
    "Can you explain {} to me?",
    "Please tell me about {}.",
    "How would you describe {}?",
    "In one sentence, what is {}?",
    "I keep reading about {}. What is it?",
    "Give me a short definition of {}.",
    "Could you tell me what {} is?",
    "Help me understand {}.",
    "What should I know about {}?",
    "What does one mean by {}?",
    "My colleague mentioned {}. What is that?",
    "Describe {} to a newcomer.",
    "I am new here. What is {}?",
    "Remind me, what is {}?",
)
FIRST_FOLLOW_UP = 2
HELD_OUT_PER_FACT = 2
"""Phrasings of each fact that no training row holds; they rotate, so every phrasing is learned with other facts."""


def facts() -> list[tuple[str, str]]:
    """Return (topic, answer) pairs."""
    lines = (HERE / "sample_facts.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" | ") for line in lines if line and not line.startswith("#")]
    return [(topic.strip(), answer.strip()) for topic, answer in pairs]


def row(*turns: tuple[str, str]) -> dict[str, object]:
    """Return one ultrachat row for (question, answer) turns."""
    messages = [
        {"content": text, "role": role}
        for turn in turns
        for role, text in zip(("user", "assistant"), turn, strict=True)
    ]
    prompt = turns[0][0]
    digest = hashlib.sha256(json.dumps(messages).encode()).hexdigest()
    return {"prompt": prompt, "prompt_id": digest, "messages": messages}


def rows() -> Iterator[tuple[str, dict[str, object]]]:
    """Yield (split, row): every fact in its trained phrasings, its held-out ones, and one two-turn conversation."""
    known = facts()
    for index, (topic, answer) in enumerate(known):
        held_out = {(index * 5 + step * 7) % len(PHRASINGS) for step in range(HELD_OUT_PER_FACT)}
        for number, phrasing in enumerate(PHRASINGS):
            yield ("test_sft" if number in held_out else "train_sft"), row((phrasing.format(topic), answer))
        trained = [phrasing for number, phrasing in enumerate(PHRASINGS) if number not in held_out]
        next_topic, next_answer = known[(index + 1) % len(known)]
        next_held_out = {((index + 1) * 5 + step * 7) % len(PHRASINGS) for step in range(HELD_OUT_PER_FACT)}
        follow_up = next(
            text for number, text in enumerate(PHRASINGS) if number not in next_held_out and number > FIRST_FOLLOW_UP
        )
        opening = trained[index % len(trained)]
        yield "train_sft", row((opening.format(topic), answer), (follow_up.format(next_topic), next_answer))


def write(folder: Path = SHIPPED) -> None:
    """Write train_sft.jsonl and test_sft.jsonl into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts: dict[str, list[str]] = {"train_sft": [], "test_sft": []}
    for split, value in rows():
        texts[split].append(json.dumps(value, ensure_ascii=False) + "\n")
    for split, lines in texts.items():
        (folder / f"{split}.jsonl").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    write()
