"""Tokens of a spool's rows: all counted, or estimated and counted only where the limit is near."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import takewhile
from typing import Any

import numpy as np
from attrs import frozen
from numpy.typing import NDArray

from azft.domain.tokens import TokenStatistics
from azft.engine.counting import TokenCounter
from azft.gate.prefetch import prefetched
from azft.gate.spool import Records, Spool
from azft.rules.calibration import UNCALIBRATED, Ratio, fit
from azft.rules.lengths import LONGEST, drawn, histogram, over, packing, padding_waste, quantiles

CALIBRATION = 256
"""Rows that are counted to fit the ratio and to tell its error."""
NEAR = 0.1
"""How near to the limit, as a share of it, a row is counted rather than estimated; more where the error is larger."""
EXACT_BYTES = 16 << 20
"""Bytes of messages up to which every row is counted, if nothing else is said: a few seconds."""
TOGETHER = 512
TEMPLATE, HEADER = 1_024, 64
"""Bytes that a chat template may put before a conversation, as a system prompt of its own, and around a message."""


@frozen
class Counting:
    """How to count: with which tokenizer, up to which limit, for which batch, and whether exactly (None: by size)."""

    counter: TokenCounter | None = None
    limit: int = 0
    batch: int = 1
    exact: bool | None = None


def count(spool: Spool, how: Counting, step: Callable[[int], None]) -> tuple[TokenStatistics, list[int]]:
    """Return the statistics, and the numbers of the rows with nothing left to learn after the cut at the limit."""
    exact = how.counter is not None and (_is_small(spool) if how.exact is None else how.exact)
    ratio = UNCALIBRATED if exact or how.counter is None else _calibrated(spool, how.counter)
    counts = np.zeros(LONGEST + 1, np.int64)
    nothing: list[int] = []
    counted = tokens = 0
    with spool.lines.open("rb") as lines:
        for first, records in spool.records():
            lengths = ratio.tokens(_sizes(records))
            talks = partial(spool.messages, lines, records)
            near = _uncertain(lengths, ratio, how) if not exact else np.arange(len(records))
            if how.counter is not None:
                for some, texts in prefetched(_rendered(how.counter, talks, near.tolist())):
                    lengths[some] = how.counter.counted(texts)
                    step(len(some))
                counted += len(near)
                nothing += (first + row for row in _nothing_left(talks, lengths, how))
            tokens += int(lengths.sum())
            counts += np.bincount(np.minimum(lengths, LONGEST), minlength=LONGEST + 1)
    found = _Found(spool.rows, tokens, counts, ratio, counted, len(nothing))
    return _described(found, how), nothing


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
    exact = found.counted == rows and how.counter is not None
    name = how.counter.name if how.counter else ""
    method = (
        f"every row counted with {name}"
        if exact
        else f"{ratio.per_byte:.4f} tokens a byte, fitted with {name}; counted near the limit"
        if how.counter
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
    if how.limit <= 0 or how.counter is None:
        return np.empty(0, np.int64)
    return np.flatnonzero(np.abs(lengths - how.limit) <= how.limit * max(NEAR, ratio.error[1]))


def _calibrated(spool: Spool, counter: TokenCounter) -> Ratio:
    """Fit on rows drawn from the whole spool, a few from each piece of it."""
    order = np.random.default_rng(spool.rows)
    chosen = np.sort(order.choice(spool.rows, min(CALIBRATION, spool.rows), replace=False))
    sizes: list[NDArray[np.float64]] = []
    tokens: list[int] = []
    with spool.lines.open("rb") as lines:
        for first, records in spool.records():
            here = (chosen[(chosen >= first) & (chosen < first + len(records))] - first).tolist()
            if here:
                sizes.append(_sizes(records[here]))
                tokens += counter.lengths(list(spool.messages(lines, records, here)))
    # The pieces are in order, and neighbours may be alike: every other one of a shuffled list is a fair half.
    mixed = order.permutation(len(tokens))
    return fit(np.concatenate(sizes)[mixed], np.array(tokens)[mixed])


def _rendered(
    counter: TokenCounter, messages: Callable[[Sequence[int]], Iterable[Any]], rows: Sequence[int]
) -> Iterator[tuple[Sequence[int], list[str]]]:
    """Yield some of the rows at a time, as the chat template writes them, while others are being counted."""
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        yield some, counter.rendered(list(messages(some)))


def _nothing_left(
    messages: Callable[[Sequence[int]], Iterable[Any]], lengths: NDArray[np.int64], how: Counting
) -> list[int]:
    """Return the rows whose answers begin only behind the limit; whatever fits has something to learn."""
    if how.limit <= 0 or how.counter is None:
        return []
    longer = np.flatnonzero(lengths > how.limit).tolist()
    return [row for row, talk in zip(longer, messages(longer), strict=True) if _lacks(talk, how.counter, how.limit)]


def _lacks(messages: Sequence[Any], counter: TokenCounter, limit: int) -> bool:
    """Return whether nothing is learned; only asked of the tokenizer where the prompt's bytes do not tell.

    A prompt has at most as many tokens as bytes, those of the chat template included.
    """
    prompt = takewhile(lambda message: message["role"] != "assistant", messages)
    before = TEMPLATE + sum(len(message["content"].encode()) + HEADER for message in prompt)
    return before >= limit and not counter.learns(messages, limit)
