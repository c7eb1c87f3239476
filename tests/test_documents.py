"""Every Python block of the README and the docs runs, page by page; links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import azft
from tests.test_local_backend import own_model

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]
# The README trains as much as the main job, which is in the default suite.
TRIED = [pytest.param(page, marks=pytest.mark.slow) if page.name == "README.md" else page for page in WITH_CODE]


@pytest.mark.parametrize("page", TRIED, ids=lambda page: page.name)
def test_the_code_of_a_page_runs_from_top_to_bottom(page: Path, tmp_path: Path) -> None:
    own_model(tmp_path / "path" / "to" / "model")
    code = "\n".join(BLOCK.findall(page.read_text(encoding="utf-8")))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target


def test_the_table_of_errors_is_complete() -> None:
    said = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in said for name in azft.__all__ if name.endswith("Error") and name != "RunError")


GENERATED = ("api_page", "emulator_page", "failures_page", "findings_page", "learned_picture")


@pytest.mark.parametrize("tool", [f"make_{page}.py" for page in GENERATED])
def test_a_generated_page_is_not_stale(tool: str) -> None:
    subprocess.run([sys.executable, "-W", "ignore", ROOT / "tools" / tool, "--check"], check=True)


def test_the_main_job_keeps_its_promises(tmp_path: Path) -> None:
    said = subprocess.check_output(
        [sys.executable, "-W", "ignore", ROOT / "examples" / "phi3_ultrachat.py"], cwd=tmp_path, text=True
    )
    losses = re.search(r"^ loss +([\d.]+) +([\d.]+)", said, re.MULTILINE)
    assert losses is not None
    assert float(losses[1]) >= 5 * float(losses[2])
    exact = {
        kind: (int(base), int(tuned), int(asked))
        for kind, base, tuned, asked in re.findall(
            r"exact answers, ([\w-]+) questions +[\d.]+% \((\d+) of \d+\) +[\d.]+% \((\d+) of (\d+)\)", said
        )
    }
    base, tuned, asked = exact["trained"]
    assert (base, tuned >= 0.95 * asked) == (0, True)
    base, tuned, asked = exact["held-out"]
    assert (base, tuned >= 0.5 * asked) == (0, True)
    assert "  model: It trains two small matrices beside each frozen weight." in said
    assert "registered Phi-3-mini-4k-instruct-ultrachat-200k:1" in said
    assert "deleted run run-" in said
    assert "learning_rate = 0.005, from model defaults" in said
    assert not list((tmp_path / ".azft" / "endpoints").iterdir())
