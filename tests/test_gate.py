"""The gate: every planted fault is found where it is, nothing else is, and nothing is lost."""

from __future__ import annotations

import base64
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import azft.gate.duplicates as duplicates_module
from azft import ConfigurationError, DatasetError, DatasetPreparer, DatasetSpec, PreparedDataset
from azft.rules.chat import are_sound, fault_of
from azft.rules.codes import CODES
from azft.rules.repair import repaired
from azft.rules.text import BLANK, is_blank
from azft.stages.standin import build_tokenizer
from benchmarks.planted import KINDS, good, plant, talk
from tests.conftest import everything, in_any_order, rows_of


def prepared(source: Path | str, **more: Any) -> PreparedDataset:
    return DatasetPreparer("data", progress=False, **more).prepare(DatasetSpec("mine", f"file://{source}"))


def prompts_of(path: Path) -> set[str]:
    return {row["messages"][0]["content"] for row in rows_of(path)}


def test_every_planted_fault_is_found_at_its_line_and_nothing_else(tmp_path: Path) -> None:
    wanted = plant(tmp_path / "chats.jsonl", rows=3_000, faults=300)
    with pytest.raises(DatasetError) as caught:
        prepared(tmp_path / "chats.jsonl", duplicates="raise")
    assert {row.line: row.code for row in caught.value.rows} == wanted
    assert caught.value.report is not None
    report = rows_of(caught.value.report)
    assert {row["line"]: row["code"] for row in report} == wanted
    assert all(row["reason"] and row["fix"] and row["code"] in CODES for row in report)
    assert set(wanted.values()) == {*KINDS, "AZFT-R101", "AZFT-R102"}


def test_a_file_without_faults_raises_no_alarm(tmp_path: Path) -> None:
    plant(tmp_path / "chats.jsonl", rows=500, faults=0, overlong=0)
    data = prepared(tmp_path / "chats.jsonl")
    assert (data.checks.read, data.checks.bad, dict(data.checks.codes)) == (500, 0, {})
    assert len(everything(data)) == 500


def test_dropping_leaves_out_just_the_bad_rows_and_keeps_them_aside(tmp_path: Path) -> None:
    wanted = plant(tmp_path / "chats.jsonl", rows=1_000, faults=120, overlong=0)
    data = prepared(tmp_path / "chats.jsonl", on_bad="drop", duplicates="drop")
    assert len(everything(data)) == 1_000 - 120
    assert {**data.checks.codes, **data.checks.duplicates} == dict(Counter(wanted.values()))
    rejects = rows_of(data.folder / "rejects.jsonl")
    assert {row["line"] for row in rejects} == set(wanted)
    assert all(row["action"] == "dropped" for row in rejects)
    lines = (tmp_path / "chats.jsonl").read_bytes().split(b"\n")
    for row in rejects:
        given = lines[row["line"] - 1]
        if row["code"] == "AZFT-R003":
            assert json.loads(row["text"]) == json.loads(given)
        elif row["code"] in ("AZFT-R001", "AZFT-R002"):
            assert (row["text"].encode() if "text" in row else base64.b64decode(row["base64"])) == given
        else:
            assert row["row"] == orjson.loads(given)


def test_fixing_changes_what_takes_no_guess(tmp_path: Path, jsonl: Callable[..., Path]) -> None:
    odd = [
        talk(("Human", "Hi"), ("gpt", "Hello")),
        talk(("user", "a"), ("user", "b"), ("assistant", "c")),
        talk(("assistant", "Welcome!"), ("user", "d"), ("assistant", "e")),
        talk(("user", "f"), ("assistant", "g"), ("user", "h")),
        talk(("user", "i"), ("assistant", "j"), ("user", "k"), ("assistant", " ")),
        talk(("system", " "), ("user", "l"), ("assistant", "m")),
        {"messages": orjson.dumps(talk(("user", "n"), ("assistant", "o"))["messages"]).decode()},
        b'{"messages":[{"role":"user","content":"p\\u0000"},{"role":"assistant","content":"q \\ud83d"}]}',
        talk(("user", "only a question")),
    ]
    data = prepared(jsonl(*odd, *(good(number) for number in range(20))), on_bad="fix")
    said = {row["line"]: (row["action"], row["fix"]) for row in rows_of(data.folder / "bad_rows.jsonl")}
    assert said[1] == ("fixed", "roles renamed")
    assert said[2] == ("fixed", "turns joined, or a greeting left out")
    assert said[5] == ("fixed", "ended before the blank message 4")
    assert 7 not in said  # a JSON text of messages is what a table's cell holds
    assert said[8] == ("fixed", "NUL characters removed; halves of surrogate pairs removed")
    assert said[9][0] == "dropped"
    fixed = [row["messages"] for row in everything(data)]
    assert talk(("user", "Hi"), ("assistant", "Hello"))["messages"] in fixed
    assert talk(("user", "a\n\nb"), ("assistant", "c"))["messages"] in fixed
    assert talk(("user", "f"), ("assistant", "g"))["messages"] in fixed
    assert talk(("user", "l"), ("assistant", "m"))["messages"] in fixed
    assert talk(("user", "p"), ("assistant", "q "))["messages"] in fixed
    assert len(fixed) == 28
    originals = {row["line"]: row.get("row", row.get("text")) for row in rows_of(data.folder / "rejects.jsonl")}
    assert originals[1] == odd[0]
    assert set(originals) == set(range(1, 10)) - {7}


def test_accepted_faults_are_reported_and_go_through(jsonl: Callable[..., Path]) -> None:
    rows = [*(good(number) for number in range(20)), good(3), talk(("user", "x"), ("assistant", "y"), ("user", "z"))]
    data = prepared(jsonl(*rows), duplicates="raise", accept=("AZFT-R101", "AZFT-R013"))
    assert len(everything(data)) == 22
    assert dict(data.checks.actions) == {"kept": 2}
    with pytest.raises(ConfigurationError, match="AZFT-R001"):
        DatasetPreparer("data", accept=("AZFT-R001",))


def test_a_prompt_of_the_test_split_is_not_trained_on(tmp_path: Path) -> None:
    for split, numbers in (("train", range(30)), ("test", range(28, 34))):
        lines = (orjson.dumps(good(number)) + b"\n" for number in numbers)
        (tmp_path / f"{split}.jsonl").write_bytes(b"".join(lines))
    spec = DatasetSpec("mine", f"file://{tmp_path}", test_split="test")
    with pytest.raises(
        DatasetError, match=r"train\.jsonl, line 29: its prompt is in the test split too: .*test\.jsonl"
    ):
        DatasetPreparer("data", duplicates="raise", progress=False).prepare(spec)
    data = DatasetPreparer("data", duplicates="drop", progress=False).prepare(spec)
    assert (data.checks.bad, dict(data.checks.duplicates)) == (0, {"AZFT-R103": 2})
    assert data.test.rows == 6
    prompts = {row["messages"][0]["content"] for row in rows_of(data.test.path)}
    assert not prompts & {
        row["messages"][0]["content"] for row in everything(data) if row not in rows_of(data.test.path)
    }


@given(st.lists(st.integers(0, 12), min_size=12, max_size=60), st.integers(0, 99))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_prompt_is_on_two_sides_and_sizes_come_as_near_as_that_allows(
    tmp_path_factory: pytest.TempPathFactory, prompts: list[int], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    rows = [talk(("user", f"Prompt {p}"), ("assistant", f"Answer {n}")) for n, p in enumerate(prompts)]
    (folder / "chats.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    preparer = DatasetPreparer(folder / "data", validation=0.2, test=0.2, seed=seed, progress=False)
    spec = DatasetSpec("mine", f"file://{folder / 'chats.jsonl'}")
    if len(set(prompts)) == 1:
        with pytest.raises(DatasetError, match="leaves no row"):
            preparer.prepare(spec)
        return
    data = preparer.prepare(spec)
    train, validation, test = (prompts_of(file.path) for file in (data.train, data.validation, data.test))
    assert not train & validation
    assert not (train | validation) & test
    assert in_any_order(everything(data)) == in_any_order(rows)
    assert abs(data.test.rows - round(len(rows) * 0.2)) <= max(Counter(prompts).values())
    said = {finding.subject for finding in data.checks.findings}
    assert ("test" in said) == (data.test.rows != round(len(rows) * 0.2))


def test_duplicates_are_found_whatever_the_memory_allows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = plant(tmp_path / "chats.jsonl", rows=2_000, faults=400, overlong=0)
    monkeypatch.setattr(duplicates_module, "BUDGET", 64)
    data = prepared(tmp_path / "chats.jsonl", on_bad="drop", duplicates="drop")
    assert {**data.checks.codes, **data.checks.duplicates} == dict(Counter(wanted.values()))


def test_one_prompt_with_many_answers_is_no_duplicate(jsonl: Callable[..., Path]) -> None:
    rows = [talk(("user", "Tell me a joke"), ("assistant", f"Joke {number}")) for number in range(30)]
    data = prepared(jsonl(*rows, *(good(number) for number in range(30))))
    assert (data.checks.bad, dict(data.checks.duplicates)) == (0, {})
    assert len(everything(data)) == 60


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    texts = [message["content"] for number in range(200) for message in good(number)["messages"]]
    build_tokenizer(texts).save_pretrained(folder)
    return str(folder)


def test_rows_with_nothing_to_learn_behind_the_limit_are_named(jsonl: Callable[..., Path], tokenizer: str) -> None:
    long = talk(("user", "why " * 3_000), ("assistant", "because"))
    source = jsonl(*(good(number) for number in range(30)), long)
    with pytest.raises(DatasetError, match=r"line 31: nothing is left to learn of it within 512 tokens \[AZFT-R104\]"):
        prepared(source, tokenizer=tokenizer, max_seq_length=512)
    for exact in (True, False):
        data = prepared(source, tokenizer=tokenizer, max_seq_length=512, on_bad="drop", exact=exact)
        assert dict(data.checks.codes) == {"AZFT-R104": 1}
        assert data.tokens is not None
        assert data.tokens.nothing_left == 1


def test_token_statistics_are_those_of_the_tokenizer(jsonl: Callable[..., Path], tokenizer: str) -> None:
    from transformers import AutoTokenizer

    rows = [good(number, size=10 + number) for number in range(200)]
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    texts = [str(loaded.apply_chat_template(row["messages"], tokenize=False)) for row in rows]
    lengths = sorted(len(loaded.encode(text, add_special_tokens=False)) for text in texts)
    data = prepared(jsonl(*rows), tokenizer=tokenizer, max_seq_length=300, batch=8, exact=True)
    found = data.tokens
    assert found is not None
    assert (found.rows, found.tokens, found.exact, found.counted) == (200, sum(lengths), True, 200)
    assert dict(found.quantiles)[50.0] == lengths[99]
    assert dict(found.quantiles)[100.0] == lengths[-1]
    assert found.truncated == sum(length > 300 for length in lengths) / 200
    assert found.steps == -(-data.train.rows // 8)
    assert sum(rows for _from, _to, rows in found.histogram) == 200
    assert 0 < found.packed < found.padding < 1
    guess = prepared(jsonl(*rows), tokenizer=tokenizer, max_seq_length=300, batch=8, exact=False).tokens
    assert guess is not None
    assert not guess.exact
    assert guess.counted < 200
    assert abs(guess.tokens / found.tokens - 1) < 0.03
    assert guess.truncated == found.truncated
    assert 0 < guess.error[0] <= guess.error[1] < 0.3


def test_a_report_is_printed_and_written_with_pictures(
    jsonl: Callable[..., Path], tokenizer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [*(good(number) for number in range(40)), good(1), talk(("user", "<b>x</b>"))]
    source = jsonl(*rows)
    tokens = prepared(source, tokenizer=tokenizer, on_bad="drop").tokens
    assert tokens is not None
    limit = dict(tokens.quantiles)[50.0]
    data = prepared(source, tokenizer=tokenizer, max_seq_length=limit, on_bad="drop")
    report = data.report()
    said = str(report)
    for expected in (
        "42 rows",
        "AZFT-R101",
        "AZFT-R012",
        "█",
        "<- max_seq_length",
        "packed",
        "SHA-256",
        "saw 'messages'",
    ):
        assert expected in said
    page = report.path.read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert f"max_seq_length {limit}" in page
    data.show(2)
    shown = capsys.readouterr().out
    assert shown.count("[[Answer") == 2
    assert "[[Question" not in shown


def test_nothing_here_needs_a_tokenizer(jsonl: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    data = prepared(jsonl(*(good(number) for number in range(40))), max_seq_length=2_000)
    assert data.tokens is not None
    assert not data.tokens.exact
    assert "no tokenizer was given" in data.tokens.method
    data.show(1)
    assert "[[assistant: Answer" in capsys.readouterr().out
    with pytest.raises(ConfigurationError, match="cannot be loaded"):
        DatasetPreparer("data", tokenizer="no/such-folder/at-all")


def written(value: Any) -> bytes:
    """Return JSON that also holds what no strict writer would: halves of surrogate pairs, and NaN."""
    return json.dumps(value).encode()


HOSTILE = st.text(st.characters(exclude_categories=()), min_size=0, max_size=12)
ROLE = st.sampled_from(["user", "assistant", "system", "User", "gpt", ""]) | HOSTILE
ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | HOSTILE, lambda inner: st.lists(inner, max_size=3)
)
MESSAGE = st.fixed_dictionaries({"role": ROLE, "content": HOSTILE | ODD}) | ODD
TALKS = st.lists(
    st.lists(MESSAGE, max_size=5)
    | st.integers(1, 3).flatmap(
        lambda turns: st.tuples(*[HOSTILE] * (2 * turns)).map(
            lambda texts: [
                {"role": "assistant" if index % 2 else "user", "content": text} for index, text in enumerate(texts)
            ]
        )
    ),
    max_size=4,
)


def test_every_space_of_unicode_is_blank() -> None:
    assert {chr(code) for code in range(sys.maxunicode + 1) if chr(code).isspace()} <= set(BLANK)


@given(TALKS)
@settings(max_examples=400)
def test_the_quick_verdict_is_never_milder_than_the_full_one(talks: list[Any]) -> None:
    if are_sound(talks):
        faults = [fault_of(messages) for messages in talks]
        assert all(fault is None or fault.code in ("AZFT-R002", "AZFT-R003") for fault in faults)


@given(TALKS)
@settings(max_examples=400)
def test_a_repaired_row_has_no_fault(talks: list[Any]) -> None:
    for messages in talks:
        fixed = repaired(messages)
        if fixed is not None:
            assert fault_of(fixed[0]) is None
            assert not any(is_blank(message["content"]) for message in fixed[0])


@given(st.lists(st.binary(max_size=60) | TALKS.map(lambda talks: written({"messages": talks})), max_size=8))
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_hostile_lines_never_crash_and_what_comes_out_parses(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("hostile")
    safe = [orjson.dumps(good(number)) for number in range(12)]
    (folder / "chats.jsonl").write_bytes(b"\n".join([*safe, *(line.replace(b"\n", b" ") for line in lines)]))
    for on_bad in ("drop", "fix"):
        preparer = DatasetPreparer(folder / "data", on_bad=on_bad, progress=False)
        data = preparer.prepare(DatasetSpec("mine", f"file://{folder / 'chats.jsonl'}"))
        found = everything(data)
        assert all(fault_of(row["messages"]) is None for row in found)
        assert data.checks.read == len(found) + data.checks.actions.get("dropped", 0)


@given(
    st.lists(st.text(min_size=1, max_size=40).filter(lambda text: not is_blank(text) and "\0" not in text), min_size=4)
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_texts_come_through_to_the_letter(tmp_path_factory: pytest.TempPathFactory, texts: list[str]) -> None:
    folder = tmp_path_factory.mktemp("letters")
    rows = [talk(("user", f"{number} {text}"), ("assistant", text)) for number, text in enumerate(texts)]
    (folder / "chats.jsonl").write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    data = DatasetPreparer(folder / "data", progress=False).prepare(
        DatasetSpec("m", f"file://{folder / 'chats.jsonl'}")
    )
    assert in_any_order(everything(data)) == in_any_order(rows)
