"""Chat templates of about 25 families, as TRL ships them, each with a tokenizer that has its control tokens."""

from __future__ import annotations

import re
from functools import cache
from importlib.metadata import files
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

from azft.stages.standin import build_tokenizer

TRAINING = "_training"
_TAG = re.compile(r"<[|/｜]?[^<>\s{}'\"]{1,40}>|\[/?[A-Z_]+\]")
_WORDS = re.compile(r"</?(tools?|tool_call|tool_response|function|parameter|think|arg_\w+|atem)\b|<(function-|args-)")
"""What templates write as plain words, for which no tokenizer of theirs has a token."""


@cache
def sources() -> dict[str, str]:
    """Return every template by name; those that TRL trains with end with `_training`."""
    found = [Path(str(path.locate())) for path in files("trl") or [] if path.suffix == ".jinja"]
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(found)}


@cache
def _base() -> str:
    texts = [
        "The quick brown fox answers: no, yes, and 12 or 3.5!",
        "Ünïcode text, über alles, 今日は",
        "user assistant",
    ]
    return str(build_tokenizer(texts).backend_tokenizer.to_str())


def tokenizer_for(name: str, *, template: str = "") -> Any:
    """Return a small tokenizer with the control tokens that the family's template writes."""
    source = sources()[name]
    tags = sorted({tag for tag in _TAG.findall(source) if not _WORDS.match(tag)})
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_base()),
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        chat_template=template or source,
    )
    tokenizer.add_special_tokens({"additional_special_tokens": tags})
    return tokenizer
