"""Files as users have them: what is in them is what is learned, or is refused by name."""

from __future__ import annotations

import csv
import gzip
import io
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import orjson
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from azft import (
    ConfigurationError,
    DatasetError,
    DatasetPreparer,
    DatasetSpec,
    FineTuneSession,
    Plan,
    PreparedDataset,
    UnknownNameError,
)
from azft.domain.capabilities import TOOLS, UNSEEN_TOOLS
from azft.rules.text import normalised
from azft.stages.standin import build_tokenizer
from tests.conftest import everything, rows_of
from tests.templates_of_trl import tokenizer_for

Row = dict[str, Any]


def talk(number: int, answer: Any = None, **more: Any) -> Row:
    said = {"role": "assistant", "content": f"Answer {number}." if answer is None else answer, **more}
    return {"messages": [{"role": "user", "content": f"Question {number}?"}, said]}


def lines(*rows: Any) -> bytes:
    return b"".join(orjson.dumps(row) + b"\n" for row in rows)


def put(name: str, content: bytes) -> Path:
    Path(name).write_bytes(content)
    return Path(name)


def table(rows: Sequence[Mapping[str, Any]], delimiter: str = ",", encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().encode(encoding)


def parquet(name: str, rows: list[Any], schema: Any = None) -> Path:
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), name, row_group_size=20)
    return Path(name)


def prepared(source: Any, **more: Any) -> PreparedDataset:
    return DatasetPreparer("data", progress=False, **more).prepare(source)


def planned(source: Any, **more: Any) -> Plan:
    return FineTuneSession(dataset=source, progress=False, **more).plan()


def answers(data: PreparedDataset) -> list[str]:
    return [row["messages"][-1]["content"] for row in everything(data)]


def codes(plan: Plan) -> set[str]:
    return {finding.code for finding in plan.findings}


def pairs(count: int = 30, first: str = "prompt", second: str = "completion", **more: Any) -> list[Row]:
    return [{first: f"Question {n}?", second: f"Answer {n}.", **more} for n in range(count)]


GOOD = [talk(number) for number in range(30)]


def test_d1_the_default_dataset_leaves_its_blank_rows_out_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"prompt": f"Question {n}?", "prompt_id": f"{n:064x}", **talk(n)} for n in range(300)]
    for n in (7, 80, 211):
        rows[n]["messages"][1]["content"] = " "
    Path("corpus/data").mkdir(parents=True)
    parquet("corpus/data/train_sft-00000-of-00001.parquet", rows[:250])
    parquet("corpus/data/test_sft-00000-of-00001.parquet", rows[250:])
    known = next(spec for spec in _offered() if spec.name == "ultrachat_200k")
    spec = DatasetSpec("u", "file://corpus", known.train_split, known.test_split, leave_out=known.leave_out)
    with caplog.at_level(logging.WARNING, "azft.data"):
        data = prepared(spec)
    assert len(everything(data)) == 297
    assert [record.message for record in caplog.records] == ["u: 3 of 300 rows left out: blank message"]
    plan = planned(spec)
    assert not plan.errors
    assert "3 of the first 300 rows left out: blank message" in str(plan)
    with pytest.raises(DatasetError, match="3 bad rows"):
        prepared(DatasetSpec("u", "file://corpus", known.train_split, known.test_split))


def _offered() -> Any:
    from azft.discovery import load_plugins
    from azft.plugins.catalogue import Catalogue

    return Catalogue(load_plugins()).datasets


ODD_COLUMNS: dict[str, list[Row]] = {
    "text": [{"text": f"All of it {n}"} for n in range(30)],
    "preferences": [{"chosen": talk(n)["messages"], "rejected": talk(n, "Bad.")["messages"]} for n in range(30)],
    "dolly": pairs(30, "instruction", "response", context=""),
    "input and output": pairs(30, "input", "output"),
    "conversation": [{"conversation": talk(n)["messages"]} for n in range(30)],
    "columns of turns": [
        {"messages": {"role": ["user", "assistant"], "content": [f"Question {n}?", f"Answer {n}."]}} for n in range(30)
    ],
    "json texts": [{"messages": [json.dumps(turn) for turn in talk(n)["messages"]]} for n in range(30)],
    "conversations of roles": [{"conversations": talk(n)["messages"]} for n in range(30)],
    "orca": pairs(30, "question", "response", system_prompt="Be brief."),
}


@pytest.mark.parametrize("name", ODD_COLUMNS)
def test_d2_d12_parquet_gives_the_same_answer_as_jsonl(name: str) -> None:
    sources = [put("a.jsonl", lines(*ODD_COLUMNS[name])), parquet("a.parquet", ODD_COLUMNS[name])]
    for on_bad in ("raise", "drop", "fix"):
        found = []
        for source in sources:
            try:
                found.append(prepared(source, on_bad=on_bad).train.sha256)
            except DatasetError as error:
                found.append(str(error).replace(source.name, "FILE"))
        assert found[0] == found[1]
        assert ("no converter knows" in found[0]) == (name in ("text", "preferences"))


def test_d3_code_pages_and_utf_16_are_read_and_said() -> None:
    rows = [{"Question": f"Où est-ce {n}?", "Réponse": f"Là-bas, {n}."} for n in range(30)]
    columns = {"Question": "prompt", "Réponse": "completion"}
    for codec, said in (("cp1252", "looks like cp1252"), ("utf-16", "read as UTF-16"), ("utf-16-le", "UTF-16-LE")):
        source = put(f"{codec}.csv", table(rows, encoding=codec))
        data = prepared(source, columns=columns)
        assert sorted(answers(data)) == sorted(row["Réponse"] for row in rows)
        (note,) = (finding for finding in data.checks.findings if finding.code == "AZFT-D012")
        assert said in note.found
        assert any(said in finding.found for finding in planned(source, columns=columns).findings)
    assert len(everything(prepared(put("a.jsonl", lines(*GOOD).decode().encode("utf-16"))))) == 30
    assert len(everything(prepared(put("b.json", orjson.dumps(GOOD).decode().encode("utf-16"))))) == 30


def test_d3_bytes_that_are_no_text_are_one_row_and_reports_are_utf_8() -> None:
    source = put("a.csv", table([{"prompt": "é", "completion": "x"}, *pairs()]) + b"\xff,caf\xe9\r\n")
    with pytest.raises(DatasetError, match=r"a\.csv, line 33: not valid UTF-8") as caught:
        prepared(source)
    assert caught.value.report is not None
    assert [row["line"] for row in rows_of(caught.value.report)] == [33]
    data = prepared(source, on_bad="drop")
    assert all((data.folder / name).read_text(encoding="utf-8") for name in ("bad_rows.jsonl", "rejects.jsonl"))
    odd = Path(os.fsdecode(b"caf\xe9.jsonl"))
    odd.write_bytes(lines(*GOOD))
    for value in (odd, f"file://{odd}"):
        with pytest.raises((ConfigurationError, DatasetError), match=r"caf\\+udce9[\s\S]*rename the file"):
            prepared(value)


MARKS: dict[str, Callable[[int], Row]] = {
    "openai": lambda n: talk(n, weight=0),
    "axolotl": lambda n: talk(n, train=False),
    "ms-swift": lambda n: talk(n, loss=False),
    "masked": lambda n: talk(n, masked=True),
    "sharegpt": lambda n: {
        "conversations": [
            {"from": "human", "value": f"Question {n}?"},
            {"from": "gpt", "value": f"Answer {n}.", "weight": 0},
        ]
    },
}


@pytest.mark.parametrize("name", MARKS)
def test_d4_marked_answers_are_not_learned_whatever_the_other_rows_are(name: str) -> None:
    marked = MARKS[name](100)
    key = "messages" if "messages" in marked else "conversations"
    more = MARKS[name](101)[key]
    whole = [*marked[key], {**more[0]}, {field: value for field, value in more[1].items() if field not in _MARKS}]
    data = prepared(put("a.jsonl", lines(*GOOD, {key: whole})), validation=0)
    (row,) = (row for row in everything(data) if len(row["messages"]) == 4)
    assert [message.get("weight") for message in row["messages"]] == [None, 0, None, None]
    with pytest.raises(DatasetError, match=r"line 31: every answer is marked as not to be learned \[AZFT-R012\]"):
        prepared(put("b.jsonl", lines(*GOOD, marked)))
    with pytest.raises(DatasetError, match=r"this trainer learns every answer \[AZFT-R015\]"):
        prepared(put("c.jsonl", lines(*GOOD, {key: whole})), takes=())


_MARKS = ("weight", "train", "loss", "masked")
CALL = {"id": "1", "type": "function", "function": {"name": "look_up", "arguments": '{"word": "azft"}'}}
CALLING = {
    "messages": [
        {"role": "user", "content": "What is azft?"},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "1", "content": "A library."},
        {"role": "assistant", "content": "It is a library."},
    ],
    "tools": [{"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}],
}
OLD = {
    "messages": [
        {"role": "user", "content": "What is azft?"},
        {"role": "assistant", "content": None, "function_call": {"name": "look_up", "arguments": '{"word": "azft"}'}},
        {"role": "function", "name": "look_up", "content": "A library."},
        {"role": "assistant", "content": "It is a library."},
    ],
    "functions": [{"name": "look_up", "parameters": {"type": "object"}}],
}
SHARED = {
    "conversations": [
        {"from": "human", "value": "What is azft?"},
        {"from": "function_call", "value": '{"name": "look_up", "arguments": {"word": "azft"}}'},
        {"from": "observation", "value": "A library."},
        {"from": "gpt", "value": "It is a library."},
    ],
    "tools": '[{"name": "look_up", "parameters": {"type": "object"}}]',
}


@pytest.mark.parametrize("row", [CALLING, OLD, SHARED])
def test_tool_calls_are_kept_where_the_template_writes_them_and_else_refused(row: Row) -> None:
    source = put("a.jsonl", lines(*GOOD, row))
    data = prepared(source, tokenizer=tokenizer_for("qwen3"), validation=0)
    (kept,) = (row for row in everything(data) if "tools" in row)
    assert kept["tools"][0]["function"]["name"] == "look_up"
    assert [message["role"] for message in kept["messages"]] == ["user", "assistant", "tool", "assistant"]
    assert kept["messages"][1]["tool_calls"][0]["function"]["name"] == "look_up"
    with pytest.raises(DatasetError, match=r"line 31: it calls tools: the chat template of .* \[AZFT-R015\]"):
        prepared(source, tokenizer=tokenizer_for("phi3"))
    with pytest.raises(DatasetError, match="without the model's tokenizer nothing proves"):
        prepared(source)
    assert len(everything(prepared(source, takes={UNSEEN_TOOLS}))) == 31
    assert "AZFT-D002" in codes(planned(source))
    with pytest.raises(DatasetError, match="which this trainer does not take"):
        prepared(source, takes=())
    assert {TOOLS, UNSEEN_TOOLS}


def test_d5_what_could_not_be_read_is_never_counted_as_read() -> None:
    whole = orjson.dumps([talk(n) for n in range(2_001)]).replace(b"Answer 10.", b'Answer "10".')
    source = put("a.json", whole)
    with pytest.raises(DatasetError, match=r"1 bad row.*; 204,\d\d\d bytes of a\.json were not read") as caught:
        prepared(source.name)
    assert "100 %" not in str(caught.value)
    data = prepared("a.json", on_bad="drop")
    assert (data.checks.read, len(everything(data))) == (11, 10)
    said = str(data.report())
    assert "(100 %" not in said
    assert "bytes of a.json" in said
    assert {"AZFT-D013", "AZFT-D002"} <= codes(planned(source))


def test_d5_an_open_quote_says_how_many_lines_are_not_read() -> None:
    content = table(pairs(2_001)).replace(b"Question 20?", b'"Question 20?')
    data = prepared(put("a.csv", content), on_bad="drop")
    assert (data.checks.read, len(everything(data))) == (21, 20)
    assert dict(data.checks.unread) == {"a.csv": "1,980 lines"}


def test_d5_one_broken_byte_in_a_list_is_one_bad_row() -> None:
    content = orjson.dumps([talk(n) for n in range(2_001)]).replace(b"Answer 1000.", b"Answer \xe9000.")
    data = prepared(put("a.json", content), on_bad="drop")
    assert (data.checks.read, dict(data.checks.codes), len(everything(data))) == (2_001, {"AZFT-R002": 1}, 2_000)


ENTITIES = '[{"text": "Paris", "label": "LOC"}]'


@pytest.mark.parametrize("on_bad", ["raise", "drop", "fix"])
def test_d6_an_answer_in_json_stays_what_it_is(on_bad: str) -> None:
    rows = [{"prompt": f"Entities of {n}?", "completion": ENTITIES} for n in range(30)]
    for source in (put("a.csv", table(rows)), put("a.jsonl", lines(*rows)), parquet("a.parquet", rows)):
        assert set(answers(prepared(source, on_bad=on_bad))) == {ENTITIES}
    parts = [*GOOD, talk(99, [{"text": "Paris"}])]
    source = put("b.jsonl", lines(*parts))
    if on_bad == "raise":
        with pytest.raises(DatasetError, match="line 31: message 2 has 'content' of type a list"):
            prepared(source)
    else:
        assert "Paris" not in str(everything(prepared(source, on_bad=on_bad)))


def test_d7_cells_that_are_no_text_are_json_and_a_system_prompt_that_is_none_is_refused() -> None:
    odd = [7, [1, 2], {"a": 1}]
    rows = [{"instruction": f"Sum {n}", "input": value, "output": "x"} for n, value in enumerate(odd)]
    asked = {row["messages"][0]["content"] for row in everything(prepared(put("a.jsonl", lines(*rows)), validation=0))}
    assert asked == {"Sum 0\n\n7", "Sum 1\n\n[1,2]", 'Sum 2\n\n{"a":1}'}
    with pytest.raises(DatasetError, match="line 31: the system prompt is no text"):
        prepared(put("b.jsonl", lines(*pairs(30, system="Be kind."), {**pairs(1)[0], "system": 3})))


def test_d8_json_files_hold_lists_lines_or_objects_whatever_their_name() -> None:
    written = {
        "lines.json": lines(*GOOD),
        "objects.json": b"\n".join(json.dumps(row, indent=2).encode() for row in GOOD),
        "list.jsonl": json.dumps(GOOD, indent=2).encode(),
        "one line.jsonl": orjson.dumps(GOOD),
    }
    digests = {prepared(put(name, content)).train.sha256 for name, content in written.items()}
    assert digests == {prepared(put("plain.jsonl", lines(*GOOD))).train.sha256}
    with pytest.raises(DatasetError, match=r"line 3: not JSON"):
        prepared(put("broken.json", lines(*GOOD[:2]) + b'{"mess\n' + lines(*GOOD[2:])))


def test_d9_a_part_without_text_is_refused() -> None:
    row = talk(99, [{"type": "text", "text": None}])
    with pytest.raises(DatasetError, match="line 31: message 2, part 1 has no text"):
        prepared(put("a.jsonl", lines(*GOOD, row)))


def test_d10_columns_that_are_left_out_are_named_once_and_preferences_refused() -> None:
    for first, second in (("prompt", "response"), ("question", "answer")):
        source = put("a.jsonl", lines(*pairs(30, first, second, context="The text it rests on.", row_id=7)))
        for findings in (prepared(source).checks.findings, planned(source).findings):
            (found,) = (finding for finding in findings if finding.code == "AZFT-D010")
            assert (found.severity, found.found) == ("warning", "columns that are left out: context")
    good, bad = pairs(30, label=True), pairs(1, label=False)
    for source in (
        put("b.jsonl", lines(*good, *bad)),
        put("b.csv", table([*good, *bad])),
        parquet("b.parquet", [*good, *bad]),
    ):
        with pytest.raises(DatasetError, match=r"3[12]: 'label' is .*marked as a bad one \[AZFT-R017\]"):
            prepared(source)
    rows = pairs(30, rejected="Bad answer.")
    with pytest.raises(DatasetError, match="preference data"):
        prepared(put("c.jsonl", lines(*rows)))
    chosen = [{"chosen": talk(n)["messages"], "rejected": talk(n, "Bad.")["messages"]} for n in range(30)]
    data = prepared(put("d.jsonl", lines(*chosen)), columns={"chosen": "messages"})
    assert "Bad." not in answers(data)


def test_d11_white_space_collapses_and_does_not_vanish() -> None:
    assert normalised("Sum of 1 20?") != normalised("Sum of 12 0?")
    assert normalised("if x:\n    a()\n    b()") != normalised("if x:\n    a()\nb()")
    assert normalised("Hi  there\n") == normalised(" hi THERE")
    Path("split").mkdir()
    put("split/train.jsonl", lines(*GOOD, *({**talk(n), "messages": _greeting("Hi", n)} for n in range(5))))
    put("split/test.jsonl", lines({"messages": _greeting("hi", 9)}, talk(77)))
    data = prepared(Path("split"))
    assert (data.checks.bad, dict(data.checks.duplicates)) == (0, {"AZFT-R103": 5})
    assert data.trained_on == (0,)
    assert "1 test prompt was trained on and is not counted" in str(data.report())


def _greeting(text: str, number: int) -> list[Row]:
    return [{"role": "user", "content": text}, {"role": "assistant", "content": f"Hello {number}"}]


def test_d13_unknown_columns_and_mappings_are_one_error_with_the_way_out() -> None:
    source = put("a.csv", table(pairs(30, "Frage", "Antwort")))
    for columns, said in (
        (None, r"rows of 'Frage', 'Antwort'[\s\S]*columns=\{'Frage': 'prompt', 'Antwort': 'completion'\}.*alpaca"),
        ({"Frgae": "prompt"}, r"'Frgae', which the data has not; it has 'Frage'[\s\S]*did you mean 'Frage'"),
        ({"Frage": "promt", "Antwort": "completion"}, r"'promt', which no converter reads[\s\S]*did you mean 'prompt'"),
    ):
        with pytest.raises(DatasetError, match=said):
            prepared(source, columns=columns)
        plan = planned(source, columns=columns)
        assert [finding.code for finding in plan.errors] == ["AZFT-D001"]
    mapped = prepared(source, columns={"Frage": "prompt", "Antwort": "completion"})
    assert len(everything(mapped)) == 30


EXCEL = [{"Frage": f"Wo ist das Büro {n}?", "Antwort": f"Im Gebäude {n}; gleich links."} for n in range(30)]


def test_d14_excels_file_is_read_and_a_preview_says_what_it_skips(caplog: pytest.LogCaptureFixture) -> None:
    source = put("tickets.csv", table(EXCEL, ";", "cp1252"))
    with caplog.at_level(logging.WARNING, "azft.data"):
        frame = DatasetPreparer("data").preview(source, 3)
    assert frame.to_dict("records") == EXCEL[:3]
    assert "';' stands between its cells" in caplog.text
    assert "looks like cp1252" in caplog.text
    declared = put("sep.csv", b"sep=;\r\n" + table(EXCEL, ";"))
    columns = {"Frage": "prompt", "Antwort": "completion"}
    assert prepared(declared, columns=columns).train.sha256 == prepared(source, columns=columns).train.sha256
    caplog.clear()
    messy = put("messy.jsonl", b"{broken\n" + lines(*GOOD[:2]) + b"nothing\n" + lines(*GOOD[2:]))
    with caplog.at_level(logging.WARNING, "azft.data"):
        frame = DatasetPreparer("data").preview(messy, 5)
    assert len(frame) == 5
    assert [said.partition(":")[0] for said in frame.attrs["skipped"]] == ["messy.jsonl, line 1", "messy.jsonl, line 4"]
    assert "line 4: not JSON" in caplog.text
    with pytest.raises(DatasetError, match="no row that can be read"):
        DatasetPreparer("data").preview(put("none.jsonl", b"{broken\n"))


def test_d15_what_lies_beside_the_data_is_said_or_left_out() -> None:
    whole = pa.compress(lines(*GOOD) * 50, codec="zstd", asbytes=True)
    with pytest.raises(DatasetError, match=r"cut\.jsonl\.zst is broken or cut short"):
        prepared(put("cut.jsonl.zst", whole[:-40]))
    with pytest.raises(DatasetError, match=r"cut\.jsonl\.gz is broken or cut short"):
        prepared(put("cut.jsonl.gz", gzip.compress(lines(*GOOD))[:-10]))
    Path("own/.ipynb_checkpoints").mkdir(parents=True)
    put("own/train.jsonl", lines(*GOOD))
    put("own/validation.jsonl", lines(talk(98)))
    put("own/.ipynb_checkpoints/train-checkpoint.jsonl", lines(talk(99)))
    data = prepared(Path("own"))
    assert len(everything(data)) == 30
    for findings in (data.checks.findings, planned(Path("own")).findings):
        (found,) = (finding for finding in findings if finding.code == "AZFT-D017")
        assert "validation.jsonl" in found.found
    with pytest.raises(DatasetError, match="'prompt' stands twice in the header"):
        prepared(put("twice.csv", b"prompt,completion,prompt\r\na,b,c\r\n"))


def test_d16_a_users_function_is_the_plans_too() -> None:
    def mine(row: Mapping[str, Any]) -> Any:
        return talk(row["a"])["messages"]

    source = put("a.jsonl", lines(*({"a": n} for n in range(30))))
    session = FineTuneSession(dataset=source, convert=mine, progress=False)
    assert not session.plan().errors
    assert len(everything(session.prepare())) == 30


def test_d17_a_plan_that_was_written_down_finds_the_same_data() -> None:
    session = FineTuneSession(dataset=put("a.jsonl", lines(*GOOD * 2)), percent=50, progress=False)
    plan = session.plan()
    first = session.prepare(plan)
    again = session.prepare(Plan.from_json(plan.to_json()))
    assert (again.folder, again.key) == (first.folder, first.key)
    assert session.prepare(FineTuneSession(dataset=Path("a.jsonl"), percent=50.0, progress=False).plan()) == first


def test_d18_a_folder_with_the_name_of_a_hub_dataset_is_not_taken_for_it() -> None:
    from azft.sources.hub import Address, _not_shadowed

    Path("x/y").mkdir(parents=True)
    with pytest.raises(DatasetError, match="a folder x/y is here"):
        _not_shadowed(Address.of("x/y"), "x/y")
    _not_shadowed(Address.of("x/z"), "x/z")


def test_d19_an_error_prints_the_fix_and_folds_what_is_alike() -> None:
    with pytest.raises(DatasetError) as caught:
        prepared(put("a.jsonl", lines(*GOOD, *[talk(n, " ") for n in range(84)])))
    said = str(caught.value).splitlines()
    assert len(said) == 4
    assert "lines 31, 32, 33 and 81 more: message 2 (assistant) is empty [AZFT-R010] (fill it in" in said[1]


@pytest.mark.parametrize(("rows", "severity"), [(1, "error"), (2, "warning"), (8, "warning")])
def test_d20_too_few_rows_are_said_by_the_plan(rows: int, severity: str) -> None:
    plan = planned(put("a.jsonl", lines(*GOOD[:rows])))
    found = [finding for finding in plan.findings if finding.code == "AZFT-D014"]
    assert severity in {finding.severity for finding in found}
    if rows == 2:
        assert any("set any aside for validation" in finding.found for finding in found)
    from azft.rules.data_findings import too_few

    (refused,) = too_few("d", 9, 1, wanted=True, pipeline=True)
    assert (refused.severity, refused.code) == ("error", "AZFT-D014")
    assert not list(too_few("d", 10, 1, wanted=True, pipeline=True))


def test_d21_plan_and_report_say_the_same_of_the_same_rows() -> None:
    rows = [talk(n, "word " * (n + 1)) for n in range(200)]
    session = FineTuneSession(dataset=put("a.jsonl", lines(*rows, talk(3, "word " * 4))), progress=False)
    before = session.plan().look
    data = session.prepare()
    after = session.plan().look
    assert before is not None
    assert after is not None
    assert data.tokens is not None
    assert before.tokens == pytest.approx(after.tokens)
    assert data.tokens.rows == len(everything(data)) == 201
    share = FineTuneSession(dataset=Path("a.jsonl"), percent=5, progress=False).plan()
    assert share.look is not None
    assert str(share.look).startswith("10 of 201 rows to train")


def test_d22_control_characters_are_shown_and_not_obeyed(capsys: pytest.CaptureFixture[str]) -> None:
    red = "\x1b[31mred\x07"
    source = put("a.jsonl", lines(*GOOD, talk(99, red), {"messages": [{"role": red, "content": "x"}]}))
    with pytest.raises(DatasetError) as caught:
        prepared(source)
    data = prepared(source, on_bad="drop")
    data.show(40)
    shown = [str(caught.value), str(planned(source)), str(data.report()), capsys.readouterr().out]
    assert not any("\x1b" in text or "\x07" in text for text in shown)
    assert "\\x1b[31m" in shown[3]


OWN: dict[str, Callable[[], Any]] = {
    "name of a file": lambda: str(put("own.csv", table(pairs()))),
    "path": lambda: put("own.jsonl", lines(*GOOD)),
    "glob": lambda: (put("own-1.jsonl", lines(*GOOD)), "own-*.jsonl")[1],
    "rows": lambda: GOOD,
    "frame": lambda: pd.DataFrame(pairs()),
    "frame of messages": lambda: pd.DataFrame(GOOD),
    "dataset": lambda: datasets.Dataset.from_list(pairs()),
    "splits": lambda: {"train": GOOD, "test": [talk(99)]},
    "dataset of splits": lambda: datasets.DatasetDict(
        train=datasets.Dataset.from_list(GOOD), test=datasets.Dataset.from_list([talk(99)])
    ),
}


@pytest.mark.parametrize("name", OWN)
def test_own_data_is_one_word(name: str) -> None:
    session = FineTuneSession(dataset=OWN[name](), progress=False)
    plan = session.plan()
    assert not plan.errors, plan
    data = session.prepare(plan)
    assert data.test.rows == (1 if "splits" in name else 3)
    assert sorted(answers(data))[:30] == sorted(f"Answer {n}." for n in range(30))[:30]
    assert session.prepare(plan) == data
    written = Plan.from_json(plan.to_json())
    assert session.prepare(written) == data
    if plan.dataset.source.startswith("memory://"):
        with pytest.raises(ConfigurationError, match="in the memory of another session"):
            FineTuneSession(progress=False).prepare(written)


def test_what_is_no_data_is_refused_by_name() -> None:
    for value, said in (
        (7, "int, expected a name"),
        (iter(GOOD), "expected a name"),
        ("owner/name", "hf://owner/name"),
        ("tikets", "no dataset 'tikets', and no file of that name"),
    ):
        with pytest.raises((ConfigurationError, UnknownNameError), match=said):
            FineTuneSession(dataset=value)
    plan = planned("missing.csv")
    assert [finding.code for finding in plan.errors] == ["AZFT-D001"]
    known = FineTuneSession(dataset="hf://HuggingFaceH4/ultrachat_200k", model="Phi-4")
    assert known._dataset.name == "ultrachat_200k"
    with pytest.raises(ConfigurationError, match=r"no setting 'pecent'[\s\S]*percent"):
        FineTuneSession(pecent=5)  # type: ignore[call-arg]


def test_missing_cells_of_a_frame_are_blank_and_not_a_number() -> None:
    frame = pd.DataFrame([*pairs(), {"prompt": "Lost?", "completion": None}])
    with pytest.raises(DatasetError, match=r"row 31: message 2 \(assistant\) is empty"):
        prepared(frame)


def test_a_template_that_takes_no_system_turn_is_a_bad_row_and_fix_puts_it_before_the_question() -> None:
    row = {"messages": [{"role": "system", "content": "Be brief."}, *talk(99)["messages"]]}
    source = put("a.jsonl", lines(*GOOD, row))
    gemma = tokenizer_for("gemma")
    with pytest.raises(DatasetError, match=r"line 31: the chat template of .* takes no system turn \[AZFT-R018\]"):
        prepared(source, tokenizer=gemma)
    assert len(everything(prepared(source, tokenizer=gemma, on_bad="drop"))) == 30
    fixed = everything(prepared(source, tokenizer=gemma, on_bad="fix"))
    (merged,) = (row for row in fixed if "Be brief." in str(row))
    assert merged["messages"][0] == {"role": "user", "content": "Be brief.\n\nQuestion 99?"}


def test_a_template_that_writes_no_answers_refuses_the_data_before_a_run() -> None:
    with pytest.raises(DatasetError, match="does not write message 2, an answer"):
        prepared(put("a.jsonl", lines(*GOOD)), tokenizer=tokenizer_for("idefics3"))


def test_duplicates_are_counted_listed_and_kept_unless_it_is_said_otherwise() -> None:
    source = put("a.jsonl", lines(*GOOD, GOOD[3], talk(4, "  ANSWER 4. ")))
    data = prepared(source)
    assert (len(everything(data)), data.checks.bad) == (32, 0)
    assert [row["line"] for row in rows_of(data.folder / "duplicates.jsonl")] == [31, 32]
    assert any(
        finding.code == "AZFT-D015" and "2 rows that say what an earlier one says" in finding.found
        for finding in data.checks.findings
    )
    assert len(everything(prepared(source, duplicates="drop"))) == 30
    with pytest.raises(DatasetError, match=r"2 bad rows \(1 AZFT-R101, 1 AZFT-R102\)[\s\S]*duplicates=\"keep\""):
        prepared(source, duplicates="raise")


def test_importing_the_package_reads_no_table_library() -> None:
    code = "import sys, azft; print([name for name in ('pandas', 'datasets', 'torch') if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tokenizer")
    build_tokenizer([message["content"] for row in GOOD for message in row["messages"]]).save_pretrained(folder)
    return str(folder)


def test_what_show_marks_is_what_is_learned(stand_in: str, capsys: pytest.CaptureFixture[str]) -> None:
    row = {"messages": [*talk(98, weight=0)["messages"], *talk(99)["messages"]]}
    data = prepared([row, *GOOD], tokenizer=stand_in, validation=0, test=0.03)
    data.show(40)
    shown = capsys.readouterr().out
    assert "[[Answer 99.<|end|>]]" in shown
    assert "[[Answer 98." not in shown
    assert "Answer 98." in shown


def turns(*said: tuple[str, str], **last: Any) -> list[Row]:
    made: list[Row] = [{"role": role, "content": content} for role, content in said]
    return [*made[:-1], {**made[-1], **last}]


def test_marks_survive_a_repair() -> None:
    renamed = {
        "messages": [*turns(("user", "Hi"), ("gpt", "SECRET"), weight=0), *turns(("user", "b"), ("gpt", "fine"))]
    }
    joined = {"messages": [*turns(("user", "Hi2"), ("assistant", "good")), *turns(("assistant", "SECRET"), weight=0)]}
    data = prepared(put("a.jsonl", lines(*GOOD, renamed, joined)), on_bad="fix")
    kept = [message for row in everything(data) for message in row["messages"] if "SECRET" in message["content"]]
    assert [(message["role"], message.get("weight")) for message in kept] == [("assistant", 0)]


def test_turns_in_an_answers_column_are_turns_and_json_beside_turns_is_text() -> None:
    whole = [{"prompt": f"Question {n}?", "chosen": talk(n)["messages"], "rejected": "x"} for n in range(20)]
    asked = [
        {"prompt": turns(("user", f"Ask {n}?")), "chosen": turns(("assistant", "ok")), "rejected": 1} for n in range(9)
    ]
    data = prepared([*whole, *asked], columns={"chosen": "completion"})
    assert {len(row["messages"]) for row in everything(data)} == {2}
    assert sorted(answers(data)) == sorted([f"Answer {n}." for n in range(20)] + ["ok"] * 9)
    inner = '[{"role": "assistant", "content": "inner"}]'
    text = [{"prompt": turns(("user", f"Ask {n}?")), "completion": inner} for n in range(20)]
    assert set(answers(prepared(text))) == {inner}


@pytest.mark.parametrize(
    ("value", "answer"),
    [(float("nan"), None), (float("inf"), None), (b"caf\xc3\xa9", "café"), (10**30, str(10**30)), (True, "true")],
)
def test_values_that_are_no_text_become_their_own_text_or_a_bad_row(value: Any, answer: str | None) -> None:
    data = prepared([*pairs(), {"prompt": "odd?", "completion": value}], on_bad="drop")
    assert (answer in answers(data)) == (answer is not None)
    assert data.checks.bad == (answer is None)


def test_a_share_of_a_broken_file_is_refused_as_nobody_knows_it() -> None:
    whole = orjson.dumps([talk(n) for n in range(500)]).replace(b"Answer 100.", b'Answer "100".')
    with pytest.raises(DatasetError, match="a share of its rows cannot be told"):
        prepared(put("a.json", whole), percent=50)


def test_rows_of_arrays_are_rows() -> None:
    import numpy as np

    rows = [{**row, "embedding": np.arange(3.0), "label": np.bool_(n != 5)} for n, row in enumerate(pairs())]
    data = prepared(rows, on_bad="drop")
    assert dict(data.checks.codes) == {"AZFT-R017": 1}
    assert len(everything(prepared(datasets.Dataset.from_list(pairs()).with_format("numpy")))) == 30


def test_what_one_row_loses_is_named_though_others_use_it() -> None:
    rows = [
        *({"instruction": f"Say {n}", "input": "", "context": "c", "output": "x"} for n in range(10)),
        *({"instruction": f"Tell {n}", "input": "i", "context": "LOST", "output": "x"} for n in range(10)),
    ]
    (found,) = (finding for finding in prepared(rows).checks.findings if finding.code == "AZFT-D010")
    assert "context" in found.found
    mixed = [*pairs(60, "input", "output"), {"instruction": "Translate", "input": "Haus", "output": "house"}]
    assert any("Translate" in str(row) for row in everything(prepared(put("a.jsonl", lines(*mixed)))))
    with pytest.raises(DatasetError, match="more than one column to 'prompt'"):
        prepared(pairs(), columns={"prompt": "prompt", "completion": "prompt"})


def test_addresses_of_the_hub_are_known_in_every_spelling() -> None:
    from azft.discovery import load_plugins
    from azft.gate.own_data import dataset_of
    from azft.plugins.catalogue import Catalogue

    catalogue = Catalogue(load_plugins())
    for address in (
        "hf://datasets/HuggingFaceH4/ultrachat_200k",
        "https://huggingface.co/datasets/HuggingFaceH4/ultrachat_200k/",
    ):
        assert dataset_of(address, catalogue).source == "hf://HuggingFaceH4/ultrachat_200k"
    pinned = dataset_of("hf://HuggingFaceH4/ultrachat_200k@main", catalogue)
    assert (pinned.name, pinned.train_split, pinned.source[-5:]) == ("ultrachat_200k", "train_sft", "@main")


def test_splits_in_memory_are_named_or_refused() -> None:
    with pytest.raises(ConfigurationError, match="none to train on"):
        prepared({"test": GOOD})
    data = prepared({"train": GOOD, "validation": [talk(99)]})
    assert any(finding.code == "AZFT-D017" for finding in data.checks.findings)
    with pytest.raises(ConfigurationError, match="a list of texts"):
        prepared(["a.jsonl", "b.jsonl"])


def test_a_preview_skips_what_is_no_object(caplog: pytest.LogCaptureFixture) -> None:
    frame = DatasetPreparer("data").preview(put("a.jsonl", lines(GOOD[0], None, 5, GOOD[1])), 4)
    assert (len(frame), len(frame.attrs["skipped"])) == (2, 2)


def test_one_odd_row_does_not_decide_for_others_of_its_shape() -> None:
    both = {"messages": turns(("user", "hello \U000f0001 \U00100001"), ("assistant", "ok"))}
    for rows in ([both, *GOOD], [*GOOD, both]):
        data = prepared(rows, tokenizer=tokenizer_for("qwen2_5"), on_bad="drop")
        assert (len(everything(data)), dict(data.checks.codes)) == (30, {"AZFT-R018": 1})


def test_a_template_that_cannot_be_read_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="the chat template cannot be read: line 1"):
        prepared(GOOD, tokenizer=tokenizer_for("phi3", template="{% for m in messages %}{{ m.content"))
