"""Every kind of source gives the same rows, with their places; broken ones say so."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, get_args

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azft import BadRow, DatasetError, DatasetPreparer, DatasetSpec, PreparedDataset
from azft.domain.data import Sample
from azft.domain.rows import Part, SourceRow, Wanted
from azft.sources import items, lines
from azft.sources.files import parts_of_file
from azft.sources.objects import rows_of
from azft.sources.parquet import path_parts
from benchmarks.local_hub import FAULTS, LocalHub
from benchmarks.planted import good
from benchmarks.ultrachat import generate

ROOT = Path(__file__).parents[1]
ROWS = [good(number) for number in range(60)]
LINES = b"".join(orjson.dumps(row) + b"\n" for row in ROWS)


def read(parts: list[Part]) -> list[SourceRow | BadRow]:
    return [row for part in parts for chunk in part.read(None) for row in chunk.rows()]


def prepared(source: object, **more: Any) -> PreparedDataset:
    return DatasetPreparer("data", progress=False, **more).prepare(DatasetSpec("mine", f"file://{source}"))


def as_csv(delimiter: str) -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(["messages", "id"])
    writer.writerows([json.dumps(row["messages"], indent=1), number] for number, row in enumerate(ROWS))
    return out.getvalue().encode()


KINDS: dict[str, Callable[[], bytes]] = {
    "a.jsonl": lambda: LINES,
    "a.ndjson": lambda: b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n\n"),
    "a.json": lambda: json.dumps(ROWS, indent=2).encode(),
    "a.csv": lambda: as_csv(","),
    "a.tsv": lambda: as_csv("\t"),
    "a.jsonl.gz": lambda: gzip.compress(LINES),
    "a.json.bz2": lambda: bz2.compress(orjson.dumps(ROWS)),
    "a.csv.xz": lambda: lzma.compress(as_csv(",")),
    "a.jsonl.zst": lambda: pa.compress(LINES, codec="zstd", asbytes=True),
}


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(KINDS[name]())
    (tmp_path / "plain.jsonl").write_bytes(LINES)
    parts = parts_of_file(tmp_path / name)
    found = read(parts)
    values = [row.value["messages"] for row in found if isinstance(row, SourceRow)]
    assert [json.loads(value) if isinstance(value, str) else value for value in values] == [r["messages"] for r in ROWS]
    assert [part.count() for part in parts] == [60]
    assert prepared(tmp_path / name).sha256 == prepared(tmp_path / "plain.jsonl").sha256


def test_rows_have_the_line_they_begin_on(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"n": number} for number in range(3)], indent=2))
    (tmp_path / "a.csv").write_text('n,text\n1,"two\nlines"\n\n2,one\n')
    (tmp_path / "a.jsonl").write_text('\n{"n": 1}\n\n{"n": 2}')
    assert [row.line for row in read(parts_of_file(tmp_path / "a.json"))] == [2, 5, 8]
    assert [row.line for row in read(parts_of_file(tmp_path / "a.csv"))] == [2, 5]
    assert [row.line for row in read(parts_of_file(tmp_path / "a.jsonl"))] == [2, 4]


@pytest.mark.parametrize("size", [7, 64])
def test_blocks_that_cut_a_row_anywhere_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    rows = [*ROWS[:5], {"text": "é\u2028🙂" * 9, "n": [1.5, None, True, {}]}, 12, "x"]
    (tmp_path / "a.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False))
    (tmp_path / "a.jsonl").write_bytes(b"\n".join(map(orjson.dumps, rows)))
    for module in (items, lines):
        monkeypatch.setattr(module, "BLOCK", size)
    for name in ("a.json", "a.jsonl"):
        assert [row.value for row in read(parts_of_file(tmp_path / name)) if isinstance(row, SourceRow)] == rows


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", b'[{"messages": []}, {"mess', "line 1: not JSON"),
        ("a.json", b'"messages"', "expected a list of objects"),
        ("a.json", b'[{"messages": 1} {"b": 2}]', "expected ',' or ']'"),
        ("a.json", b'[{"messages": [{"role": "user", "content": "\xff"}]}]', "AZFT-R002"),
        ("a.csv", b'messages\n"a" b\n', "not CSV"),
        ("a.csv", b"messages,b\n1\n", "1 cells, and the header names 2 columns"),
        ("a.csv", b"messages\ncaf\xe9\n\xc3\xa9\n", "not valid UTF-8"),
        ("a.jsonl.gz", gzip.compress(LINES)[:-20], "broken or cut short"),
        ("a.jsonl.xz", b"not xz at all", "broken or cut short"),
        ("a.parquet", b"PAR1 nothing PAR1", "is not Parquet, or is cut short"),
        ("a.parquet.gz", b"", "unknown kind of file"),
    ],
)
def test_a_broken_file_is_named(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=name) as caught:
        prepared(tmp_path / name)
    assert said in str(caught.value)


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 1 << 16)
    monkeypatch.setattr(lines, "BLOCK", 1 << 12)
    (tmp_path / "a.jsonl").write_bytes(LINES + b"x" * (1 << 20) + b"\n" + LINES.replace(b"number", b"Number"))
    bad = [row for row in read(parts_of_file(tmp_path / "a.jsonl")) if isinstance(row, BadRow)]
    assert [(row.line, row.code) for row in bad] == [(61, "AZFT-R014")]


def parquet(path: Path, rows: list[Any], group: int = 10) -> Path:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return path


def test_parquet_is_read_by_row_groups_with_row_numbers(tmp_path: Path) -> None:
    parts = path_parts(parquet(tmp_path / "a.parquet", ROWS))
    assert [part.rows for part in parts] == [10] * 6
    assert [row.line for row in read(parts)] == list(range(1, 61))
    chosen = Wanted([number % 7 == 0 for number in range(60)], 3)
    found = [row.line for part in parts for chunk in part.read(chosen) for row in chunk.rows()]
    assert found == [1, 8, 15]
    assert len({part.content() for part in parts}) == 6


def test_text_that_is_no_utf8_in_parquet_is_one_bad_row(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS[:3]), tmp_path / "a.parquet", compression="none", use_dictionary=False)
    rows = (tmp_path / "a.parquet").read_bytes().replace(b"Question number 1", b"Question number \xff")
    (tmp_path / "b.parquet").write_bytes(rows)
    bad = [row for row in read(path_parts(tmp_path / "b.parquet")) if isinstance(row, BadRow)]
    assert [(row.line, row.code, row.unit) for row in bad] == [(2, "AZFT-R002", "row")]


def test_a_row_group_that_is_broken_is_named(tmp_path: Path) -> None:
    content = bytearray(parquet(tmp_path / "a.parquet", ROWS).read_bytes())
    content[40:400] = bytes(360)
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(DatasetError, match=r"a\.parquet, row 1: this row group cannot be read"):
        prepared(tmp_path / "a.parquet")


SMALL = st.none() | st.text(max_size=5)
CELLS = st.none() | st.lists(st.none() | st.fixed_dictionaries({"role": SMALL, "content": SMALL}), max_size=3)


@given(st.lists(st.fixed_dictionaries({"messages": CELLS, "n": st.none() | st.integers(0, 9)}), min_size=1, max_size=6))
def test_rows_of_a_batch_are_what_arrow_makes_of_it(rows: list[Any]) -> None:
    kind = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    batch = pa.RecordBatch.from_pylist(rows, schema=pa.schema([("messages", kind), ("n", pa.int64())]))
    assert rows_of(batch) == batch.to_pylist()
    assert rows_of(batch.slice(1, 2)) == batch.slice(1, 2).to_pylist()


def test_files_with_other_columns_are_named(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", ROWS[:20])
    parquet(tmp_path / "b.parquet", [{**row, "source": "x"} for row in ROWS[20:]])
    data = prepared(tmp_path / "*.parquet")
    finding, left = data.checks.findings
    assert (finding.code, finding.subject) == ("AZFT-D007", f"train: {tmp_path / 'b.parquet'}")
    assert (left.code, left.found) == ("AZFT-D010", "columns that are left out: source")
    assert "messages, source" in finding.found


def test_the_same_request_is_answered_from_what_is_there_unless_that_was_changed(tmp_path: Path) -> None:
    parquet(tmp_path / "a.parquet", ROWS)
    first = prepared(tmp_path / "a.parquet")
    made = first.train.path.stat().st_mtime_ns
    assert prepared(tmp_path / "a.parquet") == first
    assert first.train.path.stat().st_mtime_ns == made
    first.train.path.write_bytes(b"changed\n")
    assert prepared(tmp_path / "a.parquet") == first
    assert first.train.path.read_bytes() != b"changed\n"
    parquet(tmp_path / "a.parquet", [*ROWS[:59], good(99)])
    other = prepared(tmp_path / "a.parquet")
    assert (other.key != first.key, other.sha256 != first.sha256) == (True, True)
    assert prepared(tmp_path / "a.parquet", seed=1).key not in (first.key, other.key)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return generate(tmp_path_factory.mktemp("hub") / "HuggingFaceH4" / "chats", scale=0.03)


@pytest.mark.parametrize("sample", get_args(Sample))
def test_a_sample_has_the_size_that_datasets_gives_it_and_comes_out_the_same_twice(
    corpus: Path, sample: Sample
) -> None:
    spec = DatasetSpec("c", f"file://{corpus}", train_split="train_sft", test_split="test_sft")
    preparer = DatasetPreparer("data", percent=5, sample=sample, validation=0, progress=False)
    data = preparer.prepare(spec)
    assert (data.train.rows, data.test.rows) == (round(6236 * 0.05), round(693 * 0.05))
    other = DatasetPreparer("again", percent=5, sample=sample, validation=0, progress=False).prepare(spec)
    assert other.sha256 == data.sha256
    seeded = DatasetPreparer("data", percent=5, sample=sample, validation=0, seed=1, progress=False).prepare(spec)
    assert (seeded.sha256 == data.sha256) == (sample == "first")


def test_a_cluster_sample_takes_parquet(jsonl: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError, match="has no row groups to draw from"):
        prepared(jsonl(*ROWS), percent=20, sample="cluster")


@pytest.fixture
def hub(corpus: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[LocalHub]:
    with LocalHub(corpus.parents[1]) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.endpoint)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        yield served


HUB = DatasetSpec("c", "hf://HuggingFaceH4/chats", train_split="train_sft", test_split="test_sft")


def test_the_hub_gives_what_its_files_hold_and_only_the_bytes_that_are_needed(hub: LocalHub, corpus: Path) -> None:
    local = DatasetPreparer("here", progress=False).prepare(
        DatasetSpec("c", f"file://{corpus}", train_split="train_sft", test_split="test_sft")
    )
    whole = DatasetPreparer("data", progress=False).prepare(HUB)
    assert (whole.sha256, whole.revision) == (local.sha256, "1" * 40)
    stored = sum(path.stat().st_size for path in corpus.rglob("*.parquet"))
    hub.sent = 0
    DatasetPreparer("data", percent=5, progress=False).prepare(HUB)
    assert hub.sent < 0.75 * stored
    hub.sent = 0
    assert DatasetPreparer("data", progress=False).prepare(HUB) == whole
    assert hub.sent < 0.4 * stored
    frame = DatasetPreparer("data").preview(HUB, 3)
    assert list(frame.columns) == ["prompt", "prompt_id", "messages"]
    assert len(frame) == 3


@pytest.mark.parametrize("fault", FAULTS)
def test_a_hub_that_stumbles_is_asked_again(hub: LocalHub, fault: str) -> None:
    hub.faults.extend([fault, "", fault])
    data = DatasetPreparer("data", percent=1, progress=False).prepare(HUB)
    assert data.train.rows > 0
    assert not hub.faults


def test_a_hub_that_never_answers_whole_is_an_error_and_leaves_nothing(hub: LocalHub) -> None:
    hub.faults.extend(["", "", "", "", *["short"] * 50])
    with pytest.raises(DatasetError, match=r"answered [\d,]+ bytes of the [\d,]+ asked for, 4 times"):
        DatasetPreparer("data", percent=1, progress=False).prepare(HUB)
    assert list(Path("data").iterdir()) == []


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("hf://HuggingFaceH4/nothing", "could not be read"),
        ("hf://a b", "is no address"),
    ],
)
@pytest.mark.usefixtures("hub")
def test_what_the_hub_has_not_is_named(source: str, said: str) -> None:
    with pytest.raises(DatasetError, match=said):
        DatasetPreparer("data", progress=False).prepare(DatasetSpec("c", source))


def test_the_datasets_card_says_which_files_are_a_split(hub: LocalHub, corpus: Path) -> None:
    folder = corpus.parent / "carded"
    (folder / "here").mkdir(parents=True)
    parquet(folder / "here" / "one.parquet", ROWS[:40])
    parquet(folder / "here" / "two.parquet", ROWS[40:])
    configs = [
        {"config_name": "de", "data_files": [{"split": "train", "path": "here/one*"}]},
        {"config_name": "en", "default": True, "data_files": {"train": ["here/t*.parquet"]}},
    ]
    (folder / "README.md").write_text(f"---\n{json.dumps({'configs': configs})}\n---\n", encoding="utf-8")
    sizes = {}
    for source in ("hf://HuggingFaceH4/carded", "hf://HuggingFaceH4/carded/de"):
        data = DatasetPreparer("data", progress=False).prepare(DatasetSpec("c", source))
        sizes[source] = data.train.rows + data.validation.rows + data.test.rows
    assert list(sizes.values()) == [20, 40]
    with pytest.raises(DatasetError, match=r"no split 'valid'; it has train"):
        DatasetPreparer("data").prepare(DatasetSpec("c", "hf://HuggingFaceH4/carded", train_split="valid"))
    with pytest.raises(DatasetError, match=r"no configuration 'fr'[\s\S]*de, en"):
        DatasetPreparer("data").prepare(DatasetSpec("c", "hf://HuggingFaceH4/carded/fr"))
    assert hub.requests


def test_what_is_not_parquet_is_streamed_by_datasets(hub: LocalHub, corpus: Path, tmp_path: Path) -> None:
    folder = corpus.parent / "lines"
    folder.mkdir()
    (folder / "train.jsonl").write_bytes(LINES)
    # The library reads HF_ENDPOINT once, when it is imported.
    code = (
        "import azft; data = azft.DatasetPreparer('data', progress=False).prepare("
        "azft.DatasetSpec('c', 'hf://HuggingFaceH4/lines')); print(data.sha256, data.revision)"
    )
    said = subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], cwd=tmp_path, text=True).split()
    assert said == [prepared(folder / "train.jsonl").sha256, "1" * 40]
    assert hub.requests
