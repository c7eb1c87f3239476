"""One description, three renderings: no text breaks them, nothing is displayed, and every public value has one."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

import azft
from azft.domain.card import ModelCard
from azft.domain.evaluation import Answer, EvaluationReport, ExactAnswers, Scores, side_by_side
from azft.domain.jsonable import from_json, to_json
from azft.domain.resource import Leftover, Leftovers, Resource
from azft.views.data import as_data
from azft.views.description import Bar, Cell, Curves, Histogram, Lines, Link, Marked, More, Table, View
from azft.views.html import as_html, as_page
from azft.views.text import as_text, encodable, sparkline

VOID = {"meta", "br", "line", "polyline", "circle"}
texts = st.text(max_size=40)
marks = st.sampled_from(["", "learned", "new", "gone"])
cells: st.SearchStrategy[Cell] = st.one_of(
    texts,
    st.builds(Marked, st.lists(st.tuples(texts, marks), max_size=4).map(tuple)),
    st.builds(Bar, st.floats(0, 1), texts, st.booleans()),
    st.builds(Link, texts, texts),
)
tables = st.integers(1, 4).flatmap(
    lambda width: st.builds(
        Table,
        texts,
        st.tuples(*[texts] * width),
        st.lists(st.tuples(*[cells] * width), max_size=4),
        texts,
    )
)
bins = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=5).map(
    lambda found: tuple((10 * n, 10 * n + 10, count) for n, (_start, count) in enumerate(found))
)
points = st.lists(st.tuples(st.integers(0, 99).map(float), st.floats(-5, 50)), max_size=6).map(tuple)
parts = st.one_of(
    tables,
    st.builds(Lines, st.lists(texts, max_size=3), texts),
    st.builds(Histogram, texts, texts, bins, texts, st.just("rows"), st.integers(0, 60), texts),
    st.builds(Curves, texts, texts, st.dictionaries(texts, points, max_size=3)),
)
views = st.builds(View, texts, texts, st.lists(st.one_of(parts, st.builds(More, texts, st.tuples(parts))), max_size=4))


class Balanced(HTMLParser):
    """Notices a tag that is not closed, and a script."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in {"script", "iframe", "img"}
        assert not [name for name, _value in attrs if name.startswith("on")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@given(views)
def test_no_text_breaks_the_html(view: View) -> None:
    for made in (as_html(view), as_page(view)):
        read = Balanced()
        read.feed(made)
        read.close()
        assert read.open == []
        assert not re.search("[\x00-\x08\x0b\x0e-\x1f\x7f]", made)


@given(views, st.sampled_from(["utf-8", "cp1252", "ascii"]), st.integers(60, 140))
def test_no_text_breaks_the_text(view: View, encoding: str, width: int) -> None:
    made = as_text(view, width=width, encoding=encoding)
    made.encode(encoding)
    assert not re.search("[\x00-\x08\x0b\x0e-\x1f\x7f\x9b]", made)


@given(views)
def test_the_data_is_plain(view: View) -> None:
    import json

    assert json.loads(json.dumps(as_data(view)))["title"] == view.title


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    hostile = '<script>alert(1)</script>" onload="x\x1b[31m'
    view = View("t", hostile, (Table(hostile, (hostile, ""), ((hostile, Link(hostile, "javascript:alert(1)")),)),))
    made = as_html(view)
    assert "<script" not in made
    assert "\x1b" not in made
    assert "\\x1b[31m" in made
    assert 'href="javascript:' not in made


@given(st.text(max_size=80), st.text(max_size=80))
def test_marked_words_are_the_whole_text(base: str, tuned: str) -> None:
    one, other = side_by_side(base, tuned)
    assert (one.plain.strip(), other.plain.strip()) == (base.strip(), tuned.strip())
    assert all(mark in {"", "gone"} for _text, mark in one.runs)


def test_a_sparkline_keeps_the_last_and_the_shape() -> None:
    assert sparkline([]) == ""
    assert sparkline([1.0, 1.0]) == "▁▁"
    assert len(sparkline([float(n) for n in range(100)], 24)) == 24
    assert sparkline([0.0, 7.0]) == "▁█"


def test_a_loss_that_is_no_number_breaks_nothing() -> None:
    nan = float("nan")
    assert sparkline([1.0, nan, float("inf"), 2.0]) == "▁█"
    view = View("t", "s", (Curves("Loss", "alt", {"training": ((1.0, 2.0), (2.0, nan), (3.0, 1.0))}),))
    assert "nan" not in as_html(view)
    as_text(view)


def test_a_long_first_cell_does_not_push_the_others_out() -> None:
    rows = (("upload azft/" + "0" * 64 + "/validation.jsonl", "stored", "4 x A100"), ("run", "running", "9.99"))
    said = as_text(View("t", "s", (Table("", ("what", "state", "machines"), rows),)), width=100)
    for expected in ("stored", "running", "9.99", "machines"):
        assert expected in said


def test_ascii_where_the_terminal_cannot() -> None:
    view = View("t", "s", (Table("T", ("a", "b"), (("1", Bar(1.0, "all")),)),))
    assert "─" in as_text(view, encoding="utf-8")
    plain = as_text(view, encoding="cp1252")
    assert "---" in plain
    assert "###" in plain
    assert encodable("日本", "ascii") == "\\u65e5\\u672c"


def report() -> EvaluationReport:
    answers = (Answer("question <b>", "expected", "base words", "tuned words"),)
    none = ExactAnswers(0, 0, 0)
    return EvaluationReport(
        Scores(2.0, 0.5), Scores(1.0, 0.9), 10, 100, ExactAnswers(4, 0, 3), none, answers, ("mind",)
    )


def test_a_report_of_a_model_that_diverged_is_written_and_read_again() -> None:
    diverged = evolve(report(), tuned=Scores(math.nan, 0.0))
    again = from_json(EvaluationReport, to_json(diverged))
    assert math.isnan(again.tuned.loss)
    assert again.base == diverged.base
    assert "nan" in str(again)


def values(folder: Path) -> list[object]:
    """Return one of every public value that a notebook may show."""
    session = azft.FineTuneSession(dataset="ultrachat_sample", percent=8, folder=folder, progress=False)
    plan = session.plan()
    data = session.prepare(plan)
    run = azft.Run("run-1", "local", "shown", "experiment", "model")
    model = azft.RegisteredModel("m", "1", "models:/m/1", "local", {"azft.token": "secret", "team": "x"})
    resource = azft.Resource("run", "run-1", "local")
    leftover = azft.Leftover(resource, "running", 1e9, "Standard_NC6", 2, 3.5)
    return [
        session, session.backend, plan, plan.parameters, plan.parameters.explain("seed"), plan.findings,
        plan.findings[0], plan.forecast, plan.look, data, data.report(), session.build(plan), run, model, report(),
        azft.RunResult(run, azft.RunStatus.FAILED, {"loss": 1.0}, ("mind",), "why", "folder"),
        azft.Endpoint("e", "http://127.0.0.1:1", model, "KEY"), leftover, azft.Leftovers([leftover]), ModelCard(),
        azft.CleanupReport((resource,)), azft.SweepReport((leftover,)), session.models(), session.suggest(plan),
        session.runs(), session.examine(), azft.list_plugins(), azft.Diagnosis("c", "AZFT-F001", "title", "line"),
    ]  # fmt: skip


def test_every_value_has_a_short_repr_a_text_without_effect_and_good_html(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for value in values(tmp_path):
        kind = type(value).__name__
        assert len(repr(value)) < 400, kind
        assert " at 0x" not in repr(value), kind
        assert str(value) or kind == "Runs", kind
        made = getattr(value, "_repr_html_")()  # noqa: B009 - the name that a notebook looks for
        Balanced().feed(made)
        assert made.count('class="azft"') == 1, kind
        assert "KEY" not in made + repr(value) + str(value)
    assert capsys.readouterr().out == ""


def test_text_is_not_displayed_where_rich_believes_in_a_notebook(tmp_path: Path) -> None:
    """`str(plan)` in a notebook used to draw the table as a side effect: rich finds Jupyter and displays."""
    code = (
        "import sys, types, builtins\n"
        "from azft.domain.findings import Finding, Findings\n"
        "import rich.console as c\n"
        "c._is_jupyter = lambda: True\n"
        "shown = []\n"
        "import rich.jupyter\n"
        "rich.jupyter.display = lambda *a, **k: shown.append(a)\n"
        "text = str(Findings([Finding('AZFT-D001', 'error', 'x', 'y')]))\n"
        "assert 'AZFT-D001' in text and not shown\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stderr


@pytest.mark.parametrize("width", [80, 100])
def test_the_name_of_a_run_is_whole_beside_a_long_path(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    path = f"azft/{'0123456789abcdef' * 4}/train.jsonl"
    left = Leftovers(
        [
            Leftover(Resource("run", "azft-e25959930b20", "azureml", "t"), "completed", 1.0),
            Leftover(Resource("upload", path, "azureml", "t"), "stored", 1.0),
        ]
    )
    lines = str(left).splitlines()
    assert any("run azft-e25959930b20" in line for line in lines)
    assert max(map(len, lines)) <= width
