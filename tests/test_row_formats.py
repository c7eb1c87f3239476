"""Rows of tasks other than chat, as the registry's pipelines check them (azureml-acft-contrib-hf-nlp 0.0.91)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import azft
from azft import Column, DatasetPreparer, DatasetSpec, RowFormat
from azft.plugins.catalogue import Catalogue
from azft.rules.row_checks import as_talk, fault_of_row

FORMATS = Catalogue(azft.load_plugins()).row_formats
ANSWERS = {"answer_start": [16], "text": ["Paris"]}
GOOD: dict[str, list[dict[str, Any]]] = {
    "text_classification": [{"text": "it broke", "label": "defect"}, {"text": "a", "text_pair": "b", "label": 1}],
    "text_classification_multilabel": [{"text": "it broke", "label": "['defect', 'late']"}],
    "token_classification": [{"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]}],
    "question_answering": [
        {"question": "Where?", "context": "The tower is in Paris.", "answers": ANSWERS},
        {"question": "Who?", "context": "It rained.", "answers": {"answer_start": [], "text": []}},
    ],
    "summarization": [{"document": "long", "summary": "short"}],
    "text_generation": [{"text": "2+2="}, {"text": "2+2=", "ground_truth": "4"}],
    "reasoning": [{"problem": "2+2? A) 3 B) 4", "solution": "B"}],
}
"""Rows that the notebooks of azureml-examples have, or such as they have."""
BAD: list[tuple[str, dict[str, Any], str, str]] = [
    ("text_classification", {"text": "a"}, "AZFT-R020", "there is no 'label'; it has text"),
    ("text_classification", {"text": "a", "lable": "x"}, "AZFT-R020", "there is no 'label'"),
    ("text_classification", {"text": " \n", "label": "x"}, "AZFT-R020", "'text' is empty"),
    ("text_classification", {"text": "a", "label": True}, "AZFT-R021", "'label' is True, expected a text or a whole"),
    ("text_classification", {"text": "a", "label": 1.5}, "AZFT-R021", "'label' is 1.5"),
    ("text_classification", {"text": ["a"], "label": "x"}, "AZFT-R021", "'text' is ['a'], expected a text"),
    ("text_classification", {"text": "a", "text_pair": "a", "label": "x"}, "AZFT-R022", "are the same text"),
    ("text_classification", {"text": "a\0b", "label": "x"}, "AZFT-R004", "a NUL character in 'text'"),
    ("text_classification", {"text": "a\ud800", "label": "x"}, "AZFT-R003", "half of a surrogate pair in 'text'"),
    ("text_classification_multilabel", {"text": "a", "label": "defect"}, "AZFT-R022", "expected a text such as"),
    ("text_classification_multilabel", {"text": "a", "label": ["defect"]}, "AZFT-R021", "expected a text"),
    ("token_classification", {"tokens": ["a", "b"], "tags": ["O"]}, "AZFT-R022", "2 tokens and 1 tags"),
    ("token_classification", {"tokens": ["a"], "tags": [0]}, "AZFT-R021", "'tags' is [0], expected a list of texts"),
    ("token_classification", {"tokens": "['a']", "tags": ["O"]}, "AZFT-R021", "'tokens' is \"['a']\""),
    ("token_classification", {"tokens": [], "tags": []}, "AZFT-R020", "'tokens' is empty"),
    (
        "question_answering",
        {"question": "q", "context": "in Paris", "answers": {"answer_start": [0], "text": ["Paris"]}},
        "AZFT-R022",
        "the answer 'Paris' is not in the context at 0: 'in Pa' is",
    ),
    (
        "question_answering",
        {"question": "q", "context": "c", "answers": {"answer_start": [0], "text": ["c"], "id": [1]}},
        "AZFT-R021",
        "expected answer_start, text and nothing else",
    ),
    (
        "question_answering",
        {"question": "q", "context": "c", "answers": {"answer_start": [0, 1], "text": ["c"]}},
        "AZFT-R021",
        "expected lists of one length",
    ),
    ("question_answering", {"question": "q", "context": "c", "answers": "c"}, "AZFT-R021", "expected an object"),
    ("reasoning", {"problem": "p", "solution": "E"}, "AZFT-R022", "expected one of A, B, C, D"),
]


def written(folder: Path, rows: list[Any], name: str = "rows.jsonl") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def tickets(count: int) -> list[dict[str, Any]]:
    return [{"text": f"ticket {n}", "label": ("late", "broken")[n % 2]} for n in range(count)]


def prepared(folder: Path, rows: Any, form: str | RowFormat = "text_classification", **more: Any) -> Any:
    return DatasetPreparer(folder / "data", rows=form, progress=False, **more).prepare(rows)


@pytest.mark.parametrize(("name", "row"), [(name, row) for name, rows in GOOD.items() for row in rows])
def test_a_good_row_has_no_fault(name: str, row: dict[str, Any]) -> None:
    assert fault_of_row(FORMATS.pick(name), row) is None
    asked, answer = as_talk(FORMATS.pick(name), row)
    assert asked["content"]
    assert (asked["role"], answer["role"]) == ("user", "assistant")


@pytest.mark.parametrize(("name", "row", "code", "said"), BAD)
def test_a_bad_row_is_told_with_its_column(name: str, row: dict[str, Any], code: str, said: str) -> None:
    fault = fault_of_row(FORMATS.pick(name), row)
    assert fault is not None
    assert fault.code == code
    assert said in fault.reason
    assert fault.fix


def test_rows_are_checked_compared_divided_and_written_with_every_column(tmp_path: Path) -> None:
    rows = [*tickets(100), {"text": "TICKET  1", "label": "broken"}, {"text": "ticket 1", "label": "broken"}]
    source = written(tmp_path, [{"words": row["text"], "label": row["label"], "id": n} for n, row in enumerate(rows)])
    data = prepared(tmp_path, source, columns={"words": "text"}, duplicates="drop")
    assert data.checks.duplicates == {"AZFT-R101": 1, "AZFT-R102": 1}
    assert (data.train.rows, data.validation.rows, data.test.rows) == (81, 9, 10)
    made = [json.loads(line) for line in data.train.path.read_text(encoding="utf-8").splitlines()]
    # Every row has every key of the first, which the pipelines' reader wants (datasets 4.7.0).
    assert {tuple(row) for row in made} == {("text", "text_pair", "label")}
    assert data.tokens is None
    assert "text_classification (by its columns)" in str(data.converter)
    assert "conversation" not in str(data.report())
    again = prepared(tmp_path, source, columns={"words": "text"}, duplicates="drop")
    assert again.folder == data.folder


def test_bad_rows_are_named_with_file_and_line_and_dropped_on_demand(tmp_path: Path) -> None:
    source = written(tmp_path, [*tickets(60), {"text": "no label"}, {"label": "late"}])
    with pytest.raises(azft.DatasetError) as failure:
        prepared(tmp_path, source)
    assert "line 61: there is no 'label'; it has text [AZFT-R020]" in str(failure.value)
    assert prepared(tmp_path, source, on_bad="drop").checks.codes == {"AZFT-R020": 2}


def test_labels_are_of_one_type_and_of_two_classes_or_more(tmp_path: Path) -> None:
    mixed = written(tmp_path, [*tickets(60), {"text": "x", "label": 1}], "mixed.jsonl")
    with pytest.raises(azft.DatasetError, match="'label' is 1, and a text in 60 other rows"):
        prepared(tmp_path, mixed)
    dropped = prepared(tmp_path, mixed, on_bad="drop")
    assert dropped.train.rows + dropped.validation.rows + dropped.test.rows == 60
    one = written(tmp_path, [{"text": f"ticket {n}", "label": "late"} for n in range(60)], "one.jsonl")
    with pytest.raises(azft.DatasetError, match="'label' is 'late' in every row"):
        prepared(tmp_path, one)


def test_too_few_rows_for_the_pipeline_are_said(tmp_path: Path) -> None:
    data = prepared(tmp_path, written(tmp_path, tickets(40)))
    (finding,) = [finding for finding in data.checks.findings if finding.code == "AZFT-D014"]
    assert "50 rows at least" in str(finding)


def test_a_function_of_ones_own_makes_rows(tmp_path: Path) -> None:
    source = written(tmp_path, [{"t": row["text"], "l": row["label"]} for row in tickets(60)])

    def convert(row: Mapping[str, Any]) -> dict[str, Any]:
        return {"text": row["t"].upper(), "label": row["l"]}

    data = prepared(tmp_path, source, convert=convert)
    assert json.loads(data.train.path.read_text(encoding="utf-8").splitlines()[0])["text"].startswith("TICKET")
    with pytest.raises(azft.DatasetError, match="the function returned list"):
        prepared(tmp_path, source, convert=lambda _row: [])


def test_formats_of_ones_own_are_checked_when_they_are_made(tmp_path: Path) -> None:
    with pytest.raises(azft.ConfigurationError, match="one column or more"):
        RowFormat("empty")
    with pytest.raises(azft.ConfigurationError, match="asks names 'b', which is none of its columns"):
        RowFormat("f", [Column("a")], asks="b")
    with pytest.raises(azft.ConfigurationError, match="keys names 'b'"):
        RowFormat("f", [Column("a")], keys={"text_key": "b"})
    form = RowFormat("haiku", [Column("poem")], check=lambda row: "" if row["poem"].count("\n") == 2 else "3 lines")
    rows = written(tmp_path, [{"poem": f"{n}\n{n}\n{n}"} for n in range(20)])
    assert prepared(tmp_path, rows, form).train.rows == 16
    with pytest.raises(azft.DatasetError, match=r"3 lines \[AZFT-R022\]"):
        prepared(tmp_path, written(tmp_path, [{"poem": "one"}] * 3), form)


def test_languages_name_the_columns_of_a_translation(tmp_path: Path) -> None:
    form = azft.translation_rows("en", "ro")
    assert form.keys == {"source_lang": "en", "target_lang": "ro"}
    data = prepared(tmp_path, written(tmp_path, [{"en": f"day {n}", "ro": f"ziua {n}"} for n in range(60)]), form)
    assert data.train.rows == 49


class TestAsItIs:
    def test_a_folder_of_splits_goes_through_unread(self, tmp_path: Path) -> None:
        for split in ("train", "validation"):
            folder = tmp_path / "images" / split
            folder.mkdir(parents=True)
            (folder / "MLTable").write_text("paths: []\n", encoding="utf-8")
        data = prepared(tmp_path, DatasetSpec("images", f"file://{tmp_path / 'images'}"), "as_is")
        assert (data.train.path.name, data.validation.path.name, data.test.is_there) == ("train", "validation", False)
        assert "rows that nobody has counted" in str(data)
        assert [finding.code for finding in data.checks.findings] == ["AZFT-T010"]
        with pytest.raises(azft.ConfigurationError, match="nobody can show its rows"):
            data.preview()

    def test_what_is_not_there_is_said(self, tmp_path: Path) -> None:
        with pytest.raises(azft.DatasetError, match="there is no"):
            prepared(tmp_path, DatasetSpec("images", f"file://{tmp_path / 'nothing'}"), "as_is")
        with pytest.raises(azft.DatasetError, match="no file or folder of this machine"):
            prepared(tmp_path, tickets(3), "as_is")
