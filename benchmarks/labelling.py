"""Rendering and labelling: azft's one function against TRL's own preprocessing, on the same rows and cores.

`pip install trl==1.16.0 && python benchmarks/labelling.py [--rows 4000] [--rounds 5]`. Both get the same conversations
of made-up ultrachat, the same tokenizer (32,000 words, trained on the text) and the same chat template with its
markers, and bring token ids and what of them is learned; azft also takes the original template, which has none. TRL's
way is what its `SFTTrainer` does to a dataset: `apply_chat_template` with `return_assistant_tokens_mask` through
`Dataset.map`, with one process (its default) and with as many as there are cores.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import files
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

FAMILIES = ("qwen2_5", "llama3", "phi3")


def templates(family: str) -> tuple[str, str]:
    """Return the family's own template and TRL's with markers."""
    found = {path.stem: Path(str(path.locate())) for path in files("trl") or [] if path.suffix == ".jinja"}
    return tuple(found[name].read_text(encoding="utf-8") for name in (family, f"{family}_training"))  # type: ignore[return-value]


def theirs(rows: list[Any], tokenizer: Any, template: str, processes: int) -> int:
    """Tokenise as TRL does, and return how many tokens are learned."""
    from datasets import Dataset

    def tokenise(row: dict[str, Any]) -> dict[str, Any]:
        found = tokenizer.apply_chat_template(
            row["messages"], chat_template=template, return_dict=True, return_assistant_tokens_mask=True
        )
        return {"input_ids": found["input_ids"], "assistant_masks": found["assistant_masks"]}

    made = Dataset.from_list(rows).map(
        tokenise, remove_columns=["messages"], num_proc=processes, load_from_cache_file=False
    )
    return sum(sum(mask) for mask in made["assistant_masks"])


def ours(rows: list[Any], tokenizer: Any, template: str) -> int:
    """Tokenise as azft does, and return how many tokens are learned."""
    from azft.engine.tokens import IGNORE, ChatTokenizer, Encoded

    tokenizer.chat_template = template
    found = ChatTokenizer(tokenizer).encode_all(rows, 1 << 30)
    return sum(int((row.labels != IGNORE).sum()) for row in found if isinstance(row, Encoded))


def main() -> None:
    """Print rows a second of both, for three families."""
    from transformers import AutoTokenizer

    from azft.engine.machine import cores
    from benchmarks.data import trained
    from benchmarks.ultrachat import Writer, generate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=4_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    os.environ["HF_DATASETS_DISABLE_PROGRESS_BARS"] = "1"
    rows = [{"messages": talk} for talk in Writer(0).table(given.rows, 0)["messages"].to_pylist()]
    with tempfile.TemporaryDirectory() as folder:
        trained(generate(Path(folder) / "corpus", scale=0.02), Path(folder))
        for family in FAMILIES:
            tokenizer: Any = AutoTokenizer.from_pretrained(folder)
            tokenizer.bos_token = tokenizer.eos_token = tokenizer.pad_token
            own, marked = templates(family)
            ways: dict[str, Callable[[], int]] = {
                "TRL, one process": partial(theirs, rows, tokenizer, marked, 1),
                f"TRL, {cores()} processes": partial(theirs, rows, tokenizer, marked, cores()),
                "azft, TRL's template": partial(ours, rows, tokenizer, marked),
                "azft, the original": partial(ours, rows, tokenizer, own),
            }
            _compare(family, ways, given.rows, given.rounds)


def _compare(family: str, ways: dict[str, Callable[[], int]], rows: int, rounds: int) -> None:
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    learned: dict[str, int] = {}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            begun = time.perf_counter()
            learned[name] = ways[name]()
            seconds[name].append(time.perf_counter() - begun)
    print(family)
    for name, found in seconds.items():
        print(f"  {name:<24} {rows / median(found):8,.0f} rows/s   {learned[name]:,} tokens learned")


if __name__ == "__main__":
    main()
