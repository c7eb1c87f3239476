"""Stage 2: conversations to token ids, with every cut and every drop counted."""

from __future__ import annotations

from itertools import tee
from pathlib import Path

import orjson
from attrs import frozen

from azft.domain.jsonable import to_json
from azft.domain.splits import SPLITS
from azft.engine.loading import context_limit, load_chat_tokenizer, quiet
from azft.engine.machine import tokenise_on
from azft.engine.rendering import TemplateRefusalError
from azft.engine.rows import RowWriter
from azft.engine.tokens import ChatTokenizer
from azft.errors import DatasetError
from azft.stages.context import StageContext


@frozen
class SplitReport:
    """What became of one split: conversations and tokens kept, conversations cut, conversations dropped."""

    conversations: int
    tokens: int
    learned: int
    truncated: int
    dropped: int


def preprocess(context: StageContext, target: Path) -> None:
    """Write token ids of each split, and a report of what was truncated and dropped."""
    quiet()
    job = context.job
    tokenise_on(job.parameters.integer("threads"))
    tokenizer = load_chat_tokenizer(context.folder / "import", day=context.day)
    limit = context_limit(context.folder / "import", job.parameters.integer("max_seq_length"))
    files = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
    reports = {}
    for split in SPLITS:
        skipped = frozenset(job.data.trained_on if split == "test" else ())
        reports[split] = encode_split(tokenizer, files[split].path, limit, skipped, target / split)
        if not reports[split].conversations and (split != "validation" or files[split].rows):
            raise DatasetError(
                f"{files[split].path} has no conversation left to learn from within {limit} tokens",
                hint="raise max_seq_length, or look at the data",
            )
        _tell(context, split, reports[split])
    (target / "report.json").write_bytes(to_json(reports))


def encode_split(
    tokenizer: ChatTokenizer, path: Path, limit: int, skipped: frozenset[int], target: Path
) -> SplitReport:
    """Write the token rows of a prepared file to a folder, few of them in memory at a time; `skipped` are left out."""
    truncated = dropped = learned = 0
    with path.open("rb") as lines, RowWriter(target) as rows:
        taken = ((number, orjson.loads(line)) for number, line in enumerate(lines) if number not in skipped)
        numbers, values = tee(taken)
        encoded = tokenizer.encode_all((value for _number, value in values), limit)
        for (number, _value), found in zip(numbers, encoded, strict=True):
            if isinstance(found, TemplateRefusalError):
                raise DatasetError(
                    f"{path}, row {number + 1}: {found.message}", hint="leave it out; session.prepare() names such rows"
                )
            truncated += found.truncated
            if found.learned:
                learned += found.learned
                rows.add(found)
            else:
                dropped += 1
        return SplitReport(len(rows), rows.tokens, learned, truncated, dropped)


def _tell(context: StageContext, split: str, report: SplitReport) -> None:
    said = (
        f"{split}: {report.conversations:,} conversations, {report.tokens:,} tokens, {report.learned:,} of them learned"
    )
    context.events.say("log", said)
    if report.truncated:
        context.events.say("warning", f"{split}: {report.truncated:,} conversations were cut at max_seq_length")
    if report.dropped:
        context.events.say(
            "warning", f"{split}: {report.dropped:,} conversations had nothing left to learn and were dropped"
        )
