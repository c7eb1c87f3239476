"""The three user scripts type-check with both checkers, and wrong literals are refused by both (case N11)."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPTS = sorted((ROOT / "tests" / "typing").glob("*.py"))
WRONG = {
    "sample": 'azft.FineTuneSession(sample="frist")',
    "on_bad": 'azft.DatasetPreparer(on_bad="skip")',
    "duplicates": 'azft.DataSettings(duplicates="no")',
    "severity": 'azft.Finding("X-1", "fatal", "a", "b")',
    "a run's id": 'azft.FineTuneSession().watch("run-1")',
    "an unknown name": "azft.FineTuneSesion()",
}


def mypy(*paths: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", *map(str, paths)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return ran.returncode, ran.stdout


def pyright(*paths: Path) -> list[str]:
    command = [sys.executable, "-m", "pyright", "--outputjson", *map(str, paths)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(ran.stdout)["generalDiagnostics"]
    return [f"{entry['file']}:{entry['range']['start']['line']}" for entry in found if entry["severity"] == "error"]


def test_there_are_three_users() -> None:
    assert [path.stem for path in SCRIPTS] == ["azure_user", "data_scientist", "plugin_author"]


@pytest.mark.slow
def test_both_checkers_take_what_users_write() -> None:
    assert mypy(*SCRIPTS) == (0, "")
    assert pyright(*SCRIPTS) == []


@pytest.mark.slow
def test_both_checkers_refuse_what_is_wrong(tmp_path: Path) -> None:
    paths = []
    for number, code in enumerate(WRONG.values()):
        path = tmp_path / f"wrong_{number}.py"
        path.write_text(f"import azft\n\n{code}\n")
        paths.append(path)
    _code, said = mypy(*paths)
    refused = pyright(*paths)
    for path, name in zip(paths, WRONG, strict=True):
        assert path.name in said, name
        assert any(path.name in place for place in refused), name
