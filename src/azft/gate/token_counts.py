"""Tokens of a spool's rows: all counted, or estimated and counted only where the limit is near."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any, BinaryIO

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from azft.domain.rows import Fault
from azft.domain.tokens import TokenStatistics
from azft.engine.rendering import TemplateRefusalError
from azft.engine.tokens import ChatTokenizer
from azft.gate.prefetch import prefetched
from azft.gate.spool import Records, Spool
from azft.gate.template_check import refused
from azft.rules.calibration import UNCALIBRATED, Ratio, fit
from azft.rules.lengths import LONGEST, drawn, histogram, over, packing, padding_waste, quantiles

CALIBRATION = 256
"""Rows that are counted to fit the ratio and to tell its error."""
NEAR = 0.1
"""How near to the limit, as a share of it, a row is counted rather than estimated; more where the error is larger."""
EXACT_BYTES = 16 << 20
"""Bytes of messages up to which every row is counted, if nothing else is said: a few seconds."""
TOGETHER = 512
Flags = NDArray[np.bool_]
TEMPLATE, HEADER = 1_024, 64
"""Bytes that a chat template may put before a conversation, as a system prompt of its own, and around a message."""


@frozen
class Counting:
    """How to count: with which tokenizer, up to which limit, for which batch, and whether exactly (None: by size)."""

    tokenizer: ChatTokenizer | None = None
    limit: int = 0
    batch: int = 1
    exact: bool | None = None


Faults = list[tuple[int, Fault]]


def count(spool: Spool, kept: Flags, how: Counting, step: Callable[[int], None]) -> tuple[TokenStatistics, Faults]:
    """Return the statistics of the kept rows, and the rows that the template refuses or that have nothing to learn."""
    exact = how.tokenizer is not None and (_is_small(spool) if how.exact is None else how.exact)
    ratio = UNCALIBRATED if exact or how.tokenizer is None else _calibrated(spool, kept, how.tokenizer)
    counts = np.zeros(LONGEST + 1, np.int64)
    faults: Faults = []
    rows = counted = tokens = nothing = 0
    with spool.lines.open("rb") as lines:
        for first, records in spool.records():
            here = np.flatnonzero(kept[first : first + len(records)])
            lengths = ratio.tokens(_sizes(records[here]))
            if how.tokenizer is not None:
                read = partial(_read, spool, lines, records, here)
                near = np.arange(len(here)) if exact else _uncertain(lengths, ratio, how)
                missing: set[int] = set()
                for some, texts in prefetched(_rendered(how.tokenizer, read, near.tolist(), exact=exact)):
                    told = [(row, text) for row, text in zip(some, texts, strict=True) if isinstance(text, str)]
                    missing.update(set(some) - {row for row, _text in told})
                    lengths[[row for row, _text in told]] = how.tokenizer.lengths([text for _row, text in told])
                    step(len(some))
                    faults += [
                        (first + int(here[row]), refused(how.tokenizer.name, text))
                        for row, text in zip(some, texts, strict=True)
                        if isinstance(text, TemplateRefusalError)
                    ]
                counted += len(near)
                empty = _nothing_left(read, lengths, how)
                nothing += len(empty)
                faults += [(first + int(here[row]), _nothing(how.limit)) for row in empty]
                lengths = np.delete(lengths, sorted(missing))
            rows += len(lengths)
            tokens += int(lengths.sum())
            counts += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)
    found = _Found(rows, tokens, counts, ratio, counted, nothing)
    return _described(found, how), faults


def _nothing(limit: int) -> Fault:
    said = f"nothing is left to learn of it within {limit:,} tokens"
    return Fault("AZFT-R104", said, "raise max_seq_length, or shorten the question")


def _read(
    spool: Spool, lines: BinaryIO, records: Records, here: NDArray[np.int64], rows: Sequence[int]
) -> Iterator[Any]:
    return spool.values(lines, records, (int(here[row]) for row in rows))


@frozen(eq=False)
class _Found:
    rows: int
    tokens: int
    counts: NDArray[np.int64]
    ratio: Ratio
    counted: int
    nothing: int


def _described(found: _Found, how: Counting) -> TokenStatistics:
    rows, counts, ratio = found.rows, found.counts, found.ratio
    exact = found.counted == rows and how.tokenizer is not None
    name = how.tokenizer.name if how.tokenizer else ""
    method = (
        f"every row counted with {name}"
        if exact
        else f"{ratio.per_byte:.4f} tokens a byte, fitted with {name}; counted near the limit"
        if how.tokenizer
        else f"{1 / ratio.per_byte:.1f} bytes a token, as no tokenizer was given"
    )
    truncated, lost = over(counts, how.limit)
    lengths = drawn(counts, how.limit)
    capacity = how.limit or int(lengths.max(initial=1))
    packed, share = packing(lengths, capacity)
    return TokenStatistics(
        rows=rows,
        tokens=found.tokens,
        exact=exact,
        method=method,
        error=(0.0, 0.0) if exact else ratio.error,
        quantiles=quantiles(counts),
        histogram=histogram(counts),
        limit=how.limit,
        truncated=truncated,
        lost=lost,
        nothing_left=found.nothing,
        batch=how.batch,
        padding=padding_waste(lengths, how.batch),
        packed=packed,
        steps=-(-rows // how.batch),
        steps_packed=-(-round(rows * share) // how.batch),
        counted=found.counted,
    )


def _is_small(spool: Spool) -> bool:
    return sum(int(records["size"].sum()) for _first, records in spool.records()) <= EXACT_BYTES


def _sizes(records: Records) -> NDArray[np.float64]:
    return np.column_stack([records["size"], records["messages"]]).astype(np.float64)


def _uncertain(lengths: NDArray[np.int64], ratio: Ratio, how: Counting) -> NDArray[np.int64]:
    if how.limit <= 0 or how.tokenizer is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.abs(lengths - how.limit) <= how.limit * max(NEAR, ratio.error[1]))


def _calibrated(spool: Spool, kept: Flags, tokenizer: ChatTokenizer) -> Ratio:
    """Fit on rows drawn from the whole spool, a few from each piece of it."""
    order = np.random.default_rng(spool.rows)
    able = np.flatnonzero(kept)
    chosen = np.sort(order.choice(able, min(CALIBRATION, len(able)), replace=False))
    sizes: list[NDArray[np.float64]] = []
    tokens: list[int] = []
    with spool.lines.open("rb") as lines:
        for first, records in spool.records():
            here = (chosen[(chosen >= first) & (chosen < first + len(records))] - first).tolist()
            told = [
                (row, _tried(tokenizer, value))
                for row, value in zip(here, spool.values(lines, records, here), strict=True)
            ]
            taken = [(row, text) for row, text in told if isinstance(text, str)]
            if taken:
                sizes.append(_sizes(records[[row for row, _text in taken]]))
                tokens += tokenizer.lengths([text for _row, text in taken])
    if not tokens:
        return UNCALIBRATED
    # The pieces are in order, and neighbours may be alike: every other one of a shuffled list is a fair half.
    mixed = order.permutation(len(tokens))
    return fit(np.concatenate(sizes)[mixed], np.array(tokens)[mixed])


def _rendered(
    tokenizer: ChatTokenizer, read: Callable[[Sequence[int]], Iterable[Any]], rows: Sequence[int], *, exact: bool
) -> Iterator[tuple[Sequence[int], list[str | TemplateRefusalError]]]:
    """Yield some of the rows at a time, as the chat template writes them, while others are being counted.

    Where every row is counted, every one is asked what is learned of it, too.
    """
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        yield some, [_tried(tokenizer, value, learned=exact) for value in read(some)]


def _tried(tokenizer: ChatTokenizer, row: Any, *, learned: bool = False) -> str | TemplateRefusalError:
    try:
        return tokenizer.learned(row).text if learned else tokenizer.text(row)
    except TemplateRefusalError as refusal:
        return refusal


def _nothing_left(
    read: Callable[[Sequence[int]], Iterable[Any]], lengths: NDArray[np.int64], how: Counting
) -> list[int]:
    """Return the rows whose answers begin only behind the limit; whatever fits has something to learn."""
    if how.limit <= 0 or how.tokenizer is None:
        return []
    longer = np.flatnonzero(lengths > how.limit).tolist()
    return [row for row, value in zip(longer, read(longer), strict=True) if _lacks(value, how.tokenizer, how.limit)]


def _lacks(row: Any, tokenizer: ChatTokenizer, limit: int) -> bool:
    """Return whether nothing is learned; only asked of the tokenizer where the prompt's bytes do not tell.

    A prompt has at most as many tokens as bytes, those of the chat template included.
    """
    prompt = takewhile(lambda message: message["role"] != "assistant", row["messages"])
    before = TEMPLATE + sum(len(message["content"].encode()) + HEADER for message in prompt)
    if before < limit and not row.get("tools"):
        return False
    try:
        return not tokenizer.learns(row, limit)
    except TemplateRefusalError:
        return False
