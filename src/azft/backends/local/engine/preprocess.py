"""Stage 2: conversations to token ids, with every cut and every drop counted."""

from __future__ import annotations

from pathlib import Path

import orjson
from attrs import frozen

from azft.backends.local.engine.context import StageContext
from azft.domain.jsonable import to_json
from azft.engine.loading import context_limit, load_tokenizer, quiet
from azft.engine.rows import Rows, write_rows
from azft.engine.tokens import Encoded, encode
from azft.errors import DatasetError

SPLITS = ("train", "validation", "test")


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
    tokenizer = load_tokenizer(context.folder / "import")
    limit = context_limit(context.folder / "import", job.parameters.integer("max_seq_length"))
    files = {"train": job.data.train, "validation": job.data.validation, "test": job.data.test}
    reports = {}
    for split in SPLITS:
        rows, reports[split] = _encode_split(tokenizer, files[split].path, limit)
        if not len(rows) and (split != "validation" or files[split].rows):
            raise DatasetError(
                f"{files[split].path} has no conversation left to learn from within {limit} tokens",
                hint="raise max_seq_length, or look at the data",
            )
        write_rows(target / f"{split}.safetensors", rows)
        _tell(context, split, reports[split])
    (target / "report.json").write_bytes(to_json(reports))


def _encode_split(tokenizer: object, path: Path, limit: int) -> tuple[Rows, SplitReport]:
    rows: list[Encoded] = []
    truncated = dropped = 0
    with path.open("rb") as lines:
        for line in lines:
            encoded = encode(tokenizer, orjson.loads(line)["messages"], limit)
            truncated += encoded.truncated
            if encoded.learned:
                rows.append(encoded)
            else:
                dropped += 1
    kept = Rows.of(rows)
    return kept, SplitReport(len(rows), len(kept.ids), sum(row.learned for row in rows), truncated, dropped)


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
