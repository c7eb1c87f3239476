"""The same logical rows give the same findings, kept rows and learned tokens, whatever file they are in."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from azft import DatasetError, DatasetPreparer
from azft.engine.tokens import ChatTokenizer
from azft.stages.standin import build_tokenizer
from tests.conftest import rows_of

Row = dict[str, Any]
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=12)
SAID = TEXT | st.sampled_from(
    ["Yes.", "[1]", '{"a": 1}', '[{"text": "Paris"}]', " ", "Übergröße", "a;b,c\td", '"', "\n"]
)
ROLE = st.sampled_from(["user", "assistant", "assistant", "system", "gpt", ""])
MESSAGE = st.fixed_dictionaries({"role": ROLE, "content": SAID})
SOUND = st.lists(SAID.filter(str.strip), min_size=1, max_size=3).map(
    lambda texts: [
        turn for text in texts for turn in ({"role": "user", "content": text}, {"role": "assistant", "content": text})
    ]
)
TURNS = (SOUND | st.lists(MESSAGE, min_size=1, max_size=4)).map(lambda messages: {"messages": messages})
PAIR = st.fixed_dictionaries({"prompt": SAID, "completion": SAID})
INSTRUCTION = st.fixed_dictionaries({"instruction": SAID, "input": SAID, "output": SAID})
ROWS = st.lists(TURNS, min_size=1, max_size=8) | st.lists(PAIR, min_size=1, max_size=8)
ROWS |= st.lists(INSTRUCTION, min_size=1, max_size=8)


def safe(rows: list[Row]) -> list[Row]:
    """Return the rows behind some that are sound, so that there is always something to train on."""
    if "messages" in rows[0]:
        sound: list[Row] = [
            {"messages": [{"role": "user", "content": f"safe {n}"}, {"role": "assistant", "content": "ok"}]}
            for n in range(4)
        ]
    else:
        first, *others = rows[0]
        sound = [{first: f"safe {n}", **dict.fromkeys(others, "ok")} for n in range(4)]
    return [*sound, *rows]


def cells(row: Row) -> dict[str, str]:
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in row.items()}


def delimited(rows: list[Row], delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(map(cells, rows))
    return out.getvalue().encode()


def parquet(folder: Path, name: str, rows: list[Row], group: int) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), folder / name, row_group_size=group)
    return folder / name


def columns_of_turns(row: Row) -> Row:
    turns = row.get("messages")
    return row if turns is None else {"messages": {key: [turn[key] for turn in turns] for key in ("role", "content")}}


def written(folder: Path, rows: list[Row]) -> list[Path]:
    """Write the rows as JSON Lines, JSON, CSV, TSV, Parquet in three layouts, and compressed."""
    lines = b"".join(orjson.dumps(row) + b"\n" for row in rows)
    contents = {
        "a.jsonl": lines,
        "a.json": json.dumps(rows, indent=1).encode(),
        "a.csv": delimited(rows, ","),
        "a.tsv": delimited(rows, "\t"),
        "a.jsonl.gz": gzip.compress(lines),
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    tables = {
        "a.parquet": rows,
        "b.parquet": [columns_of_turns(row) for row in rows],
        "c.parquet": list(map(cells, rows)),
    }
    return [
        *(folder / name for name in contents),
        *(parquet(folder, name, table, 2 + number) for number, (name, table) in enumerate(tables.items())),
    ]


@pytest.fixture(scope="module")
def tokenizer() -> ChatTokenizer:
    return ChatTokenizer(build_tokenizer(["Yes. safe ok Übergröße, user assistant"]))


def outcome(source: Path, on_bad: str, tokenizer: ChatTokenizer) -> Any:
    """Return what became of a file: its findings, rows and learned tokens, or the reasons for which it is refused."""
    folder = source.parent / f"out-{source.name}"
    preparer = DatasetPreparer(folder, on_bad=on_bad, tokenizer=tokenizer, validation=0, progress=False)  # type: ignore[arg-type]
    try:
        data = preparer.prepare(source)
    except DatasetError as error:
        return [(row.code, row.reason, row.fix) for row in error.rows] or str(error).replace(source.name, "FILE")
    rows = [row for file in (data.train, data.test) for row in rows_of(file.path)]
    learned = [tokenizer.encode(row, 1 << 20).labels.tolist() for row in rows]
    said = [(row["code"], row["reason"], row["fix"], row["action"]) for row in rows_of(data.folder / "bad_rows.jsonl")]
    return (
        data.train.sha256,
        data.test.sha256,
        rows,
        learned,
        said,
        dict(data.checks.codes),
        dict(data.checks.duplicates),
    )


def hold(folder: Path, rows: list[Row], tokenizer: ChatTokenizer) -> None:
    sources = written(folder, safe(rows))
    for on_bad in ("raise", "drop", "fix"):
        first, *others = (outcome(source, on_bad, tokenizer) for source in sources)
        for source, other in zip(sources[1:], others, strict=True):
            assert other == first, (on_bad, source.name)


@example([{"messages": [{"role": "user", "content": "Hi"}, {"content": "Ho", "role": "assistant"}]}])
@given(ROWS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_eight_files_of_the_same_rows_are_alike(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: ChatTokenizer, rows: list[Row]
) -> None:
    hold(tmp_path_factory.mktemp("same"), rows, tokenizer)


@pytest.mark.slow
@given(ROWS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_eight_files_of_many_more_rows_are_alike(
    tmp_path_factory: pytest.TempPathFactory, tokenizer: ChatTokenizer, rows: list[Row]
) -> None:
    hold(tmp_path_factory.mktemp("same"), rows, tokenizer)
