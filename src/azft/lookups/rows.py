"""Look at a source's first rows, so that a plan can tell what is wrong with the data and how much there is.

The rows are read, converted and judged by the gate's own functions, and their tokens are those of the gate's estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from itertools import islice

import numpy as np
from attrs import evolve, frozen

from azft.domain.capabilities import EVERYTHING
from azft.domain.data import DataSettings, PreparedData
from azft.domain.findings import Finding, Severity
from azft.domain.forecast import DataLook
from azft.domain.row_formats import CHAT_FORMAT, RowFormat
from azft.domain.rows import BadRow, Part, SourceRow, read_all
from azft.domain.specs import DatasetSpec
from azft.domain.tokens import TokenStatistics
from azft.engine.rendering import TemplateRefusalError
from azft.engine.tokens import ChatTokenizer
from azft.errors import AzftError
from azft.gate.batch import line_of
from azft.gate.columns import left_out
from azft.gate.conversion import FAILURES
from azft.gate.judging import Policy, RowJudge, Verdict
from azft.gate.own_data import unused_files
from azft.gate.reading import TEST, TRAIN, Convert, Reading, opened
from azft.gate.template_check import TemplateCheck
from azft.plugins.catalogue import Catalogue
from azft.rules.calibration import UNCALIBRATED
from azft.rules.data_findings import FEWEST, columns_left_out, left_out_rows, not_used, too_few, unread
from azft.rules.lengths import packs
from azft.rules.sampling import portion, share
from azft.rules.words import counted

LOOKED_AT = 1_000
"""Rows of each split; a plan must stay quick, and every row is checked before anything is uploaded."""
SHOWN = 3
MODELLED = 2_000
"""Rows that stand for all of them where it is told how many packed rows they make."""
WHOLE = 100.0


@frozen
class Looking:
    """How a plan looks at data: what its rows are, what converts it, which tokenizer reads it, what is taken beside.

    `limit` is the longest sequence, 0 if it is not known; `pipeline` says that the pipeline of Azure ML trains.
    `packed` is the least length that rows are packed to, None where they are not.
    """

    rows: RowFormat = CHAT_FORMAT
    convert: Convert | None = None
    tokenizer: ChatTokenizer | None = None
    takes: Collection[str] = EVERYTHING
    limit: int = 0
    pipeline: bool = False
    packed: int | None = None


@frozen
class _Split:
    rows: int
    total: int | None
    bad: tuple[BadRow, ...]
    lengths: tuple[int, ...]
    columns: tuple[str, ...]
    tools: int


def look_at(
    dataset: DatasetSpec, settings: DataSettings, catalogue: Catalogue, how: Looking
) -> tuple[DataLook | None, tuple[Finding, ...]]:
    """Return what the first rows show, and what is wrong with them.

    A source that takes the network is not looked at, which is a finding too.
    """
    scheme = dataset.source.partition("://")[0]
    try:
        if dataset.rows is None and scheme != "memory" and not catalogue.readers.pick(scheme).near:
            found = f"{dataset.source} is not on this machine, so it was not looked at"
            fix = "every row is checked before anything is uploaded; session.prepare() does it now"
            return _as_told(dataset, settings), (Finding("AZFT-D006", "note", dataset.name, found, fix=fix),)
        reading = opened(dataset, catalogue, how.convert, how.rows)
        judge = RowJudge(
            reading.converter, Policy.of(settings, dataset.leave_out), TemplateCheck(how.tokenizer, how.takes)
        )
        seen = {split: _look(parts, judge, how) for split, parts in reading.splits.items()}
    except (AzftError, OSError) as error:
        message, hint = (error.message, error.hint) if isinstance(error, AzftError) else (str(error), "")
        fix = hint or "fix it and plan again"
        return None, (Finding("AZFT-D001", "error", dataset.name, message, "data that can be read", fix),)
    train, test = seen[TRAIN], seen.get(TEST)
    lengths = train.lengths
    look = DataLook(
        train.rows + (test.rows if test else 0),
        train.total,
        test.total if test else None,
        sum(lengths) / max(len(lengths), 1),
        sum(length > how.limit for length in lengths) / max(len(lengths), 1) if how.limit > 0 else 0.0,
        used=None if train.total is None else portion(train.total, settings.percent),
        longest=max(lengths, default=0) if train.total is not None and train.total <= train.rows else 0,
        exact=False,
        packs=1.0 if how.packed is None else packs(lengths, how.packed, how.limit),
    )
    return look, (
        *_of_rows(reading, settings, seen),
        *_of_look(dataset, settings, look, how),
        *_of_source(reading, seen),
    )


def _as_told(dataset: DatasetSpec, settings: DataSettings) -> DataLook | None:
    """Return what the dataset says of its own size, if it does; none of its rows was looked at."""
    told = dataset.size
    if told is None:
        return None
    used = portion(told.train_rows, settings.percent)
    return DataLook(0, told.train_rows, told.test_rows or None, told.tokens, used=used)


def look_back(prepared: PreparedData, how: Looking) -> tuple[DataLook, tuple[Finding, ...]]:
    """Return what is known of data that is prepared, every row of it, and what is to be said of that."""
    tokens = prepared.tokens
    rows = prepared.train.rows + prepared.validation.rows
    look = DataLook(
        prepared.checks.read,
        rows,
        prepared.test.rows,
        tokens.mean if tokens else 0.0,
        tokens.truncated if tokens else 0.0,
        exact=tokens.exact if tokens else False,
        used=rows,
        longest=max((length for _percent, length in tokens.quantiles), default=0) if tokens else 0,
        packs=1.0 if how.packed is None or not tokens else packs(_about(tokens), how.packed, how.limit),
    )
    whole = evolve(prepared.settings, percent=100.0)
    spec = DatasetSpec(prepared.name, prepared.source, test_split="test")
    return look, (*prepared.checks.findings, *_of_look(spec, whole, look, Looking(how.rows)))


def _about(tokens: TokenStatistics) -> list[int]:
    """Return lengths as the histogram has them, few enough to be packed."""
    each = max(tokens.rows // MODELLED, 1)
    return [(low + high - 1) // 2 for low, high, rows in tokens.histogram for _row in range(-(-rows // each))]


def _look(parts: Sequence[Part], judge: RowJudge, how: Looking) -> _Split:
    """Look at the first rows; how many there are in all is known where their end was reached, or a footer tells."""
    there = tuple(dict.fromkeys(name for part in parts for name in part.columns))
    chunks = read_all(parts, None, judge.converter.reads(there))
    rows = ((row, chunk.unit) for chunk in chunks for row in chunk.rows())
    seen = list(islice(rows, LOOKED_AT))
    bad: list[BadRow] = []
    lengths: list[int] = []
    tools = 0
    names = dict.fromkeys(there)
    for row, unit in seen:
        value = row.value if isinstance(row, SourceRow) else row
        verdict = judge.judge(value)
        if isinstance(value, dict):
            names.update(dict.fromkeys(map(str, value)))
        if verdict.fault is not None and verdict.action is not None:
            fault = verdict.fault
            behind = row.unread if isinstance(row, BadRow) else ""
            bad.append(
                BadRow(
                    row.file, row.line, fault.reason, fault.code, fault.fix, unit, action=verdict.action, unread=behind
                )
            )
        if verdict.messages is not None and how.rows.chats:
            lengths.append(_length(value, verdict, how.tokenizer))
            tools += bool(verdict.tools)
    counted = [part.rows for part in parts]
    known = None if None in counted else sum(rows or 0 for rows in counted)
    ended = len(seen) < LOOKED_AT or next(rows, None) is None
    return _Split(len(seen), len(seen) if ended else known, tuple(bad), tuple(lengths), tuple(names), tools)


def _length(value: object, verdict: Verdict, tokenizer: ChatTokenizer | None) -> int:
    """Return the tokens of a row: counted where a tokenizer is known, else the gate's own estimate from its bytes."""
    messages = verdict.messages or []
    try:
        if tokenizer is not None:
            return tokenizer.lengths([tokenizer.text({"messages": messages, "tools": verdict.tools})])[0]
        size = len(line_of(value, messages, verdict.tools, keep=False))
    except (TemplateRefusalError, *FAILURES):
        return 0
    return int(UNCALIBRATED.tokens(np.array([[size, len(messages)]], np.float64))[0])


def _of_rows(reading: Reading, settings: DataSettings, seen: dict[str, _Split]) -> Iterator[Finding]:
    """Say which rows are bad, and what becomes of them."""
    name = reading.spec.name
    rows = sum(split.rows for split in seen.values())
    bad = [row for split in seen.values() for row in split.bad]
    for code, count in sorted(Counter(row.code for row in bad if row.action == "left out").items()):
        yield left_out_rows(name, code, count, f"the first {rows:,}")
    refused = [row for row in bad if row.action == "refused"]
    others = [row for row in bad if row.action in ("dropped", "fixed")]
    if refused:
        said = f"{counted(len(refused), 'bad row')} among the first {rows:,}: {_shown(refused)}"
        fix = 'fix or remove them; on_bad="drop" leaves them out, on_bad="fix" fixes what takes no guess'
        # Of a share nobody knows yet which rows it takes.
        severity: Severity = "error" if settings.percent >= WHOLE else "warning"
        yield Finding("AZFT-D002", severity, name, said, reading.converter.rows.said, fix)
    if others:
        done = "dropped" if settings.on_bad == "drop" else "fixed or dropped"
        said = f"{counted(len(others), 'bad row')} among the first {rows:,} will be {done}: {_shown(others)}"
        yield Finding("AZFT-D002", "warning", name, said, reading.converter.rows.said, "nothing, if that is meant")
    for row in bad:
        if row.unread:
            yield unread(row.file, row.unread)


def _shown(rows: Sequence[BadRow]) -> str:
    return "; ".join(map(str, rows[:SHOWN])) + ("; ..." if len(rows) > SHOWN else "")


def _of_look(dataset: DatasetSpec, settings: DataSettings, look: DataLook, how: Looking) -> Iterator[Finding]:
    if look.train_rows == 0:
        fix = "one conversation a row: messages, or a prompt and an answer" if how.rows.chats else how.rows.said
        yield Finding("AZFT-D003", "error", dataset.name, f"{dataset.source} has no rows", "rows", fix)
    elif look.used is not None:
        left = look.used if dataset.test_split else look.used - max(1, share(look.used, settings.test))
        validation = share(left, settings.validation)
        wanted = settings.validation > 0
        least = FEWEST if how.rows.chats else how.rows.least
        yield from too_few(
            dataset.name, left - validation, validation, wanted=wanted, pipeline=how.pipeline, least=least
        )
    if settings.validation == 0:
        said = "no validation rows, and the component would cut 20 % from the training rows, by position"
        yield Finding("AZFT-D004", "warning", dataset.name, said, "validation above 0", "validation=0.1")
    if look.too_long > 0:
        said = f"about {look.too_long:.0%} of the conversations are longer than the model reads, and are cut off"
        fix = "a larger max_seq_length, or shorter conversations"
        yield Finding("AZFT-D005", "warning", dataset.name, said, "conversations that fit", fix)


def _of_source(reading: Reading, seen: dict[str, _Split]) -> Iterator[Finding]:
    """Say what is left out of the files, how they are read, and what is beside them."""
    name = reading.spec.name
    yield from reading.notes
    there = dict.fromkeys(column for split in seen.values() for column in split.columns)
    lost = left_out(reading.converter, reading.first, there)
    yield from columns_left_out(name, lost, chats=reading.converter.rows.chats)
    yield from not_used(name, unused_files(reading.spec))
    tools = sum(split.tools for split in seen.values())
    if tools:
        found = f"{tools:,} of the first rows call tools"
        fix = "the local engine proves that the template writes them; the pipeline takes a column 'tools' as it is"
        yield Finding("AZFT-D018", "note", name, found, fix=fix)
