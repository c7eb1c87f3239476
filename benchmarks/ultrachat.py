"""A seeded generator of Parquet files like those of ultrachat_200k: same columns, sizes and shards, made-up text."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

TRAIN_ROWS, TEST_ROWS = 207_865, 23_110
"""Rows of the real splits train_sft and test_sft."""
GROUP = 1_000
"""Rows of a row group."""
SHARDS = {"train_sft": 3, "test_sft": 1}
_SYLLABLES = [
    "ba",
    "ce",
    "di",
    "fo",
    "gu",
    "ha",
    "je",
    "ki",
    "lo",
    "mu",
    "na",
    "pe",
    "qui",
    "ro",
    "su",
    "ta",
    "ve",
    "wi",
    "xo",
    "yu",
    "za",
    "lle",
    "sch",
    "tri",
    "ng",
    "er",
    "ion",
    "ment",
    "able",
]
_ACCENTED = ["café", "über", "naïve", "señor", "東京", "данные", "∑", "résumé", "🙂"]


class Writer:
    """Makes conversations: words from a vocabulary of 14,000, sentences from a pool, lengths log-normal.

    `repeated` is the share of the rows that ask what an earlier row of their table asked, and are answered otherwise.
    """

    def __init__(self, seed: int, repeated: float = 0.0) -> None:
        self._repeated = repeated
        self._random = np.random.default_rng(seed)
        words = ["".join(self._random.choice(_SYLLABLES, self._random.integers(1, 5))) for _ in range(14_000)]
        ranks = 1 / np.arange(30, 14_030)
        picked = self._random.choice(words, (60_000, 20), p=ranks / ranks.sum())
        lengths = self._random.integers(8, 21, 60_000)
        self._plain = [" ".join(row[:length]).capitalize() + "." for row, length in zip(picked, lengths, strict=True)]
        self._accented = [f"{self._random.choice(_ACCENTED)} {text}" for text in self._plain[:2_000]]

    def table(self, rows: int, first: int) -> pa.Table:
        """Return `rows` conversations, numbered from `first`: prompt, prompt_id, messages of content and role."""
        turns = 2 * (1 + self._random.binomial(6, 0.386, rows))
        longer = self._random.lognormal(0, 0.42, rows)
        messages: list[list[dict[str, str]]] = []
        for row in range(rows):
            foreign = self._random.random() < 0.4
            talk = []
            for turn in range(int(turns[row])):
                role = "assistant" if turn % 2 else "user"
                wanted = (14.6 if turn % 2 else 2.4) * longer[row] * self._random.lognormal(0, 0.3)
                talk.append({"content": self._text(max(1, round(wanted)), foreign and turn == 1), "role": role})
            again = self._repeated and row and self._random.random() < self._repeated
            talk[0]["content"] += f" ({first + row})"
            if again:
                talk[0]["content"] = messages[int(self._random.integers(0, row))][0]["content"]
            messages.append(talk)
        kind = pa.list_(pa.struct([("content", pa.string()), ("role", pa.string())]))
        return pa.table(
            {
                "prompt": [talk[0]["content"] for talk in messages],
                "prompt_id": [f"{number * 2654435761 % 2**256:064x}" for number in range(first, first + rows)],
                "messages": pa.array(messages, kind),
            }
        )

    def _text(self, sentences: int, foreign: bool) -> str:
        parts = [self._plain[index] for index in self._random.integers(0, len(self._plain), sentences)]
        if foreign:
            parts.append(self._accented[int(self._random.integers(0, len(self._accented)))])
        return " ".join(parts)


def generate(folder: Path, scale: float = 1.0, seed: int = 0, repeated: float = 0.0) -> Path:
    """Write both splits below `folder`, laid out as on the hub, unless they are there; returns the folder."""
    data = folder / "data"
    if data.exists():
        return folder
    aside = folder / "data.tmp"
    aside.mkdir(parents=True, exist_ok=True)
    writer = Writer(seed, repeated)
    first = 0
    for split, total in (("train_sft", TRAIN_ROWS), ("test_sft", TEST_ROWS)):
        wanted = round(total * scale)
        shards = SHARDS[split]
        for shard in range(shards):
            rows = wanted * (shard + 1) // shards - wanted * shard // shards
            write_shard(aside / f"{split}-{shard:05}-of-{shards:05}.parquet", groups(writer, rows, first))
            first += rows
    aside.rename(data)
    return folder


def groups(writer: Writer, rows: int, first: int) -> Iterator[pa.Table]:
    """Yield tables of one row group each."""
    for start in range(0, rows, GROUP):
        yield writer.table(min(GROUP, rows - start), first + start)


def write_shard(path: Path, tables: Iterator[pa.Table]) -> None:
    """Write one file, a row group for each table."""
    out: Any = None
    for table in tables:
        out = out or pq.ParquetWriter(path, table.schema, compression="snappy")
        out.write_table(table)
    if out is not None:
        out.close()


def ten_copies(source: Path, folder: Path, copies: int = 10) -> Path:
    """Write the source's rows `copies` times, each copy's prompts with a number of their own."""
    data = folder / "data"
    if data.exists():
        return folder
    aside = folder / "data.tmp"
    aside.mkdir(parents=True, exist_ok=True)
    for path in sorted((source / "data").glob("*.parquet")):
        for copy in range(copies):
            whole = pq.ParquetFile(path)
            write_shard(
                aside / path.name.replace(".parquet", f"-copy{copy}.parquet"),
                (_renumbered(whole.read_row_group(group), copy) for group in range(whole.num_row_groups)),
            )
    aside.rename(data)
    return folder


def _renumbered(table: pa.Table, copy: int) -> pa.Table:
    messages = table["messages"].to_pylist()
    for talk in messages:
        talk[0]["content"] += f" [{copy}]"
    table = table.set_column(0, "prompt", [[talk[0]["content"] for talk in messages]])
    return table.set_column(2, "messages", pa.array(messages, table.schema.field("messages").type))
