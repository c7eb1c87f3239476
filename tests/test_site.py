"""The docs site builds without a warning or a dead link, opens without a network, and its start keeps its time."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.browser import browser, opened

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert not re.search(r"^WARNING", ran.stderr, re.MULTILINE)
    return folder


@pytest.mark.slow
def test_every_public_name_is_on_the_api_page(site: Path) -> None:
    import azft

    page = (site / "api.html").read_text(encoding="utf-8")
    for name in azft.__all__:
        if name != "__version__":
            assert f".{name}" in page, name


@pytest.mark.slow
def test_a_page_that_is_broken_is_refused(tmp_path: Path) -> None:
    """The build is not strict in name alone: a dead link ends it."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("[nowhere](nowhere.md)\n")
    settings = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    (tmp_path / "mkdocs.yml").write_text(settings[: settings.index("\nnav:")] + "\n")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode != 0
    assert "nowhere.md" in ran.stderr


@pytest.mark.packages
def test_pages_open_without_a_network_and_fit_a_phone(site: Path) -> None:
    with browser() as made:
        for name in ("index", "start", "plan", "api", "command_line"):
            with opened(made, site / f"{name}.html", width=380) as (page, errors):
                assert page.evaluate("document.documentElement.scrollWidth") <= 380, name
                assert errors == [], name
                broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).map(i => i.src)"
                assert page.evaluate(broken) == [], name


@pytest.mark.slow
def test_a_newcomer_has_an_answer_about_own_data_in_under_five_minutes(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "start.md").read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL))
    began = time.monotonic()
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "Team" in ran.stdout
    # The promise of the page is one of the clock.
    assert time.monotonic() - began < 300
