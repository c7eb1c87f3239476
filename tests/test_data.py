"""Preparing data: what goes in, what comes out, and every way a source can be wrong."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import orjson
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azft import (
    ConfigurationError,
    DatasetError,
    DatasetPreparer,
    DatasetSpec,
    PreparedData,
    Reader,
    hookimpl,
    load_plugins,
)
from azft.rules.chat import why_not_a_conversation
from azft.rules.sampling import choose, portion
from tests.conftest import conversation, in_any_order, rows_of

ROOT = Path(__file__).parents[1]
ROWS = [conversation(f"question {number}", f"answer {number}") for number in range(40)]


def prepared(source: object, **settings: Any) -> PreparedData:
    return DatasetPreparer("data", **settings).prepare(DatasetSpec("mine", f"file://{source}"))


def test_the_sample_has_the_size_promised_and_is_what_its_tool_writes() -> None:
    data = DatasetPreparer("data").prepare("ultrachat_sample")
    assert (data.train.rows, data.validation.rows, data.test.rows) == (891, 99, 132)
    before = {path.name: path.read_bytes() for path in (ROOT / "src/azft/snapshot/ultrachat_sample").glob("*.jsonl")}
    subprocess.run([sys.executable, ROOT / "tools" / "make_sample.py"], check=True, capture_output=True)
    after = {path.name: path.read_bytes() for path in (ROOT / "src/azft/snapshot/ultrachat_sample").glob("*.jsonl")}
    assert before == after
    train, test = (rows_of(ROOT / f"src/azft/snapshot/ultrachat_sample/{name}_sft.jsonl") for name in ("train", "test"))
    answers = {row["messages"][-1]["content"] for row in train}
    assert len(answers) >= 60
    assert any(len(row["messages"]) > 2 for row in train)
    asked = {row["messages"][0]["content"] for row in train if len(row["messages"]) == 2}
    assert not asked & {row["messages"][0]["content"] for row in test}


def test_every_format_gives_the_same_files(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    sources = [jsonl(*ROWS), tmp_path / "chats.json", tmp_path / "chats.csv", tmp_path / "chats.parquet"]
    sources[1].write_bytes(orjson.dumps(ROWS))
    texts = [orjson.dumps(row["messages"]).decode() for row in ROWS]
    pd.DataFrame({"messages": texts}).to_csv(sources[2], index=False)
    pd.DataFrame(ROWS).to_parquet(sources[3])
    assert len({prepared(source).sha256 for source in sources}) == 1


def test_a_folder_laid_out_as_the_hub_does(tmp_path: Path) -> None:
    folder = tmp_path / "corpus" / "data"
    folder.mkdir(parents=True)
    pd.DataFrame(ROWS[:30]).to_parquet(folder / "train_sft-00000-of-00001.parquet")
    pd.DataFrame(ROWS[30:]).to_parquet(folder / "test_sft-00000-of-00001.parquet")
    source = f"file://{folder.parent}"
    spec = DatasetSpec("corpus", source, train_split="train_sft", test_split="test_sft")
    data = DatasetPreparer("data").prepare(spec)
    assert (data.train.rows, data.validation.rows, data.test.rows) == (27, 3, 10)
    with pytest.raises(DatasetError, match="no file of the split 'train'"):
        DatasetPreparer("data").prepare(DatasetSpec("corpus", source))


def test_a_glob_takes_all_files_in_order(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    jsonl(*ROWS[:20], name="a.jsonl")
    jsonl(*ROWS[20:], name="b.jsonl")
    (tmp_path / "whole").mkdir()
    assert prepared(tmp_path / "*.jsonl").sha256 == prepared(jsonl(*ROWS, name="whole/all.jsonl")).sha256


def test_splits_are_explicit_seeded_and_lose_nothing(jsonl: Callable[..., Path]) -> None:
    source = jsonl(*ROWS)
    data = prepared(source, validation=0.25, test=0.2)
    parts = [rows_of(file.path) for file in (data.train, data.validation, data.test)]
    assert [len(part) for part in parts] == [24, 8, 8]
    assert in_any_order(row for part in parts for row in part) == in_any_order(ROWS)
    assert prepared(source, validation=0.25, test=0.2) == data
    assert prepared(source, validation=0.25, test=0.2, seed=7).sha256 != data.sha256
    assert prepared(source, validation=0, test=0.2).validation.rows == 0


def test_a_percentage_takes_the_first_rows_or_a_seeded_sample(jsonl: Callable[..., Path]) -> None:
    source = jsonl(*ROWS)
    first = prepared(source, percent=25, validation=0)
    assert all(int(str(row).split("question ")[1].split("'")[0]) < 10 for row in rows_of(first.train.path))
    sampled = prepared(source, percent=25, validation=0, sample="random")
    assert sampled.train.rows + sampled.test.rows == 10
    assert sampled.sha256 != first.sha256


def test_a_preview_reads_only_the_first_rows(jsonl: Callable[..., Path]) -> None:
    frame = prepared(jsonl(*ROWS)).preview(3)
    assert list(frame.columns) == ["messages"]
    assert len(frame) == 3


def test_a_reader_of_ones_own_needs_no_line_numbers() -> None:
    module = ModuleType("mine")

    def azft_readers() -> list[Reader]:
        return [Reader("mine", lambda rest, split: iter(ROWS))]

    module.azft_readers = hookimpl(azft_readers)  # type: ignore[attr-defined]
    data = DatasetPreparer("data", plugins=load_plugins(module)).prepare(DatasetSpec("m", "mine://x"))
    assert data.train.rows + data.validation.rows + data.test.rows == 40


def message(role: str, content: object = "text") -> dict[str, object]:
    return {"role": role, "content": content}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b'{"messages": [', "not JSON"),
        ([1], "a list instead of an object"),
        ({"prompt": "Hi"}, "no 'messages'; it has prompt"),
        ({"messages": "Hi"}, "'messages' is text, expected a list"),
        ({"messages": [message("user"), message("user"), message("assistant")]}, "roles out of order: message 2"),
        ({"messages": [message("assistant"), message("user")]}, "roles out of order: message 1"),
        ({"messages": [message("user"), message("assistant", " ")]}, "message 2 (assistant) is empty"),
        ({"messages": [message("user")]}, "no assistant turn, so there is nothing to learn"),
        ({"messages": [message("user"), message("assistant"), message("user")]}, "its answer is missing"),
        ({"messages": [message("bot")]}, "unknown role 'bot'"),
        ({"messages": [message("user", None)]}, "has 'content' of type null, expected text"),
    ],
)
def test_a_bad_row_is_named_with_file_line_and_reason(jsonl: Callable[..., Path], row: object, reason: str) -> None:
    source = jsonl(ROWS[0], row, ROWS[1])
    with pytest.raises(DatasetError) as caught:
        prepared(source)
    (bad,) = caught.value.rows
    assert (bad.file, bad.line) == (str(source), 2)
    assert reason in bad.reason
    assert f"{source}, line 2: " in str(caught.value)
    report = Path("data/mine-bad_rows.jsonl").resolve()
    assert [path.resolve() for path in Path("data").iterdir()] == [report]
    (said,) = rows_of(report)
    assert (said["line"], said["code"], said["action"]) == (2, bad.code, "refused")


def test_all_bad_rows_are_kept_and_the_first_ten_shown(jsonl: Callable[..., Path]) -> None:
    with pytest.raises(
        DatasetError, match=r"25 bad rows[\s\S]*lines 1, 2, 3 and 22 more: no 'messages'[\s\S]*mine-bad_rows\.jsonl"
    ) as caught:
        prepared(jsonl(*[{}] * 25))
    assert [row.line for row in caught.value.rows] == list(range(1, 26))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("file://missing.jsonl", "no file missing.jsonl"),
        ("file://empty.jsonl", "has no rows"),
        ("file://chats.txt", "unknown kind of file"),
        ("ftp://x", "no reader for the scheme 'ftp'"),
        ("sample://other", "does not exist"),
    ],
)
def test_a_source_that_cannot_be_read_says_so(tmp_path: Path, source: str, said: str) -> None:
    (tmp_path / "empty.jsonl").touch()
    (tmp_path / "chats.txt").touch()
    with pytest.raises((DatasetError, LookupError), match=said):
        DatasetPreparer("data").prepare(DatasetSpec("mine", source))


def test_a_source_that_is_not_an_address_says_what_it_should_be() -> None:
    with pytest.raises(ConfigurationError, match=r"file://chats\.jsonl"):
        DatasetSpec("mine", "chats.jsonl")


@pytest.mark.parametrize(
    "settings", [{"percent": 0}, {"percent": "5"}, {"validation": 0.9}, {"test": 0}, {"sample": "last"}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(settings))):
        DatasetPreparer("data", **settings)


def test_a_full_disk_is_said_and_nothing_is_left(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    source = jsonl(*[conversation(f"{number} {'q' * 500}", "a" * 500) for number in range(100)])
    code = f"""
import resource, sys, azft
preparer = azft.DatasetPreparer({str(tmp_path / "data")!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    preparer.prepare(azft.DatasetSpec("mine", "file://{source}"))
except azft.DatasetError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-c", code], text=True)
    assert "cannot be read or written" in said
    assert "File too large" in said
    assert "free some space" in said
    assert list((tmp_path / "data").iterdir()) == []


TURN = st.fixed_dictionaries({"role": st.sampled_from(["user", "assistant"]), "content": st.text(min_size=1)})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_judged_without_an_exception(value: object) -> None:
    assert why_not_a_conversation(value)
    assert why_not_a_conversation({"messages": value})


@given(st.lists(TURN, max_size=6))
def test_a_row_without_a_reason_has_turns_that_end_with_an_answer(turns: list[dict[str, str]]) -> None:
    if not why_not_a_conversation({"messages": turns}):
        assert [turn["role"] for turn in turns] == ["user", "assistant"] * (len(turns) // 2)
        assert all(turn["content"].strip() for turn in turns)


@given(st.integers(0, 500), st.floats(0.01, 100), st.integers(0, 2**32))
def test_exactly_the_wanted_number_is_chosen(total: int, percent: float, seed: int) -> None:
    wanted = portion(total, percent)
    assert (wanted > 0) == (total > 0)
    assert sum(choose(total, wanted, seed)) == wanted <= total
