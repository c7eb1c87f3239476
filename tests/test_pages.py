"""What a notebook and the pages show, in a real browser: tables, phones, dark mode, nothing twice, nothing raw."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.browser import browser, check_page, opened

pytestmark = pytest.mark.packages
ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def made() -> Any:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the tour in a folder of its own, and return it with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    folder = tmp_path_factory.mktemp("tour")
    shutil.copytree(ROOT / "examples" / "tickets", folder / "tickets")
    notebook = nbformat.read(ROOT / "examples" / "tour.ipynb", 4)
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    nbformat.write(notebook, folder / "tour.ipynb")
    return folder


def exported(folder: Path, theme: str) -> Path:
    """Return the notebook as a page that asks nobody for scripts."""
    import nbformat
    from nbconvert import HTMLExporter

    notebook = nbformat.read(folder / "tour.ipynb", 4)
    exporter = HTMLExporter(template_name="lab", mathjax_url="", jquery_url="", require_js_url="", theme=theme)
    page = folder / f"tour-{theme}.html"
    page.write_text(exporter.from_notebook_node(notebook)[0], encoding="utf-8")
    return page


def test_the_notebook_is_not_stale() -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "make_tour.py", "--check"], check=True)


def test_every_value_of_the_tour_is_shown_once_and_whole(tour: Path, made: Any) -> None:
    import nbformat

    notebook = nbformat.read(tour / "tour.ipynb", 4)
    shown = 0
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        values = [output for output in outputs if output.output_type == "execute_result"]
        assert len(values) <= 1
        assert all(output.get("name") != "stderr" for output in outputs), cell.source
        for value in values:
            assert " at 0x" not in value.data["text/plain"]
            assert len(value.data["text/plain"]) < 400
            if "text/html" in value.data:
                shown += 1
                assert value.data["text/html"].count('class="azft"') == 1
    assert shown >= 12
    told = "\n".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    assert "became" in told
    assert "deleted run" in told


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_tour_reads_well_on_a_screen_a_phone_and_in_the_dark(tour: Path, made: Any, theme: str) -> None:
    check_page(made, exported(tour, theme))


def test_the_words_that_training_changed_are_marked(tour: Path, made: Any) -> None:
    with opened(made, exported(tour, "light")) as (page, _errors):
        assert page.locator(".azft ins").count() >= 4
        assert page.locator(".azft del").count() >= 4


def test_the_reports_of_data_and_of_a_run_read_well(tmp_path: Path, made: Any) -> None:
    import azft

    rows = tmp_path / "tickets.jsonl"
    good = [f'{{"prompt": "question {n} <b>&</b>", "completion": "answer {n}"}}' for n in range(40)]
    rows.write_text("\n".join([*good, '{"prompt": "", "completion": "x"}', good[0]]), encoding="utf-8")
    session = azft.FineTuneSession(
        dataset=rows,
        on_bad="drop",
        recipe="quick",
        parameters={"max_steps": 4, "logging_steps": 1},
        folder=tmp_path / "kept",
        progress=False,
    )
    run = session.submit()
    result = session.watch(run)
    page = session.report(run, result, session.evaluate(run))
    check_page(made, page)
    data = session.prepare().report().path
    check_page(made, data)
    said = data.read_text(encoding="utf-8")
    for expected in ("Training rows as the model reads them", "bad_rows.jsonl", "dropped", "AZFT-R", "prefers-color"):
        assert expected in said
    assert "<b>&</b>" not in said
    for link in ("bad_rows.jsonl", "rejects.jsonl", "prepared.json"):
        assert (data.parent / link).is_file()
    told = page.read_text(encoding="utf-8")
    assert "Loss over steps: training" in told
    assert "Base against tuned" in told or "held-out conversations" in told
