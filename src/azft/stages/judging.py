"""Two models in folders, the base and the tuned one, on files of conversations and on questions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson

from azft.domain.evaluation import Answer, EvaluationReport
from azft.engine.compare import ask_both, compare
from azft.engine.loading import context_limit, load_chat_tokenizer, load_model, quiet
from azft.engine.rendering import TemplateRefusalError
from azft.engine.rows import Rows
from azft.rules.text import prompt_print

BATCH = 8
SHOWN = 4
Asked = Callable[[int, int], None]


def judged(
    base: Path, tuned: Path, files: Mapping[str, Path], *, say: Callable[[str], None], asked: Asked
) -> EvaluationReport:
    """Return what tuning changed; `files` are those of the run by split, and only "test" counts."""
    quiet()
    reads = load_chat_tokenizer(tuned)
    skipped = _trained_on(files)
    rows = (row for number, row in enumerate(_rows(files["test"])) if number not in skipped)
    encoded = [
        row for row in reads.encode_all(rows, context_limit(tuned, 0)) if not isinstance(row, TemplateRefusalError)
    ]
    return compare(
        lambda: load_model(base),
        lambda: load_model(tuned),
        reads,
        Rows.of([row for row in encoded if row.learned]),
        trained_on=skipped,
        test=files["test"],
        train=files["train"],
        batch=BATCH,
        shown=SHOWN,
        say=say,
        asked=asked,
    )


def answered(base: Path, tuned: Path, questions: Sequence[Mapping[str, Any]], asked: Asked) -> tuple[Answer, ...]:
    """Return both models' answers to questions, conversations that end with the expected answer."""
    quiet()
    reads = load_chat_tokenizer(tuned)
    return ask_both(lambda: load_model(base), lambda: load_model(tuned), reads, list(map(dict, questions)), asked)


def _rows(path: Path) -> Iterator[Any]:
    with path.open("rb") as lines:
        yield from map(orjson.loads, lines)


def _trained_on(files: Mapping[str, Path]) -> frozenset[int]:
    """Return the rows of the test file whose prompts stand in the training or validation rows."""
    known = {prompt_print(row["messages"]) for split in ("train", "validation") for row in _rows(files[split])}
    return frozenset(n for n, row in enumerate(_rows(files["test"])) if prompt_print(row["messages"]) in known)
