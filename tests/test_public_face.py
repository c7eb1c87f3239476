"""The names users import, and what importing them costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import azft

HEAVY = ("pandas", "datasets", "mlflow", "azure", "torch", "pluggy", "transformers", "rich", "attrs")


def test_the_lazy_table_all_and_the_type_checkers_view_are_the_same() -> None:
    tree = ast.parse(Path(azft.__file__).read_text(encoding="utf-8"))
    guard = next(node for node in tree.body if isinstance(node, ast.If))
    seen = {alias.name for node in guard.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    lazy = {name for names in azft._HOMES.values() for name in names}
    assert seen == lazy == set(azft.__all__) - {"__version__"}
    assert set(azft.__all__) <= set(dir(azft))


@pytest.mark.parametrize("name", azft.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert getattr(azft, name) is not None
    if isinstance(getattr(azft, name), type):
        assert getattr(azft, name).__doc__


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="Sesion"):
        _ = azft.Sesion  # type: ignore[attr-defined]


def test_importing_azft_imports_nothing_heavy() -> None:
    code = f"import sys, azft; print([name for name in {HEAVY!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_importing_azft_takes_a_thirtieth_of_importing_azure_ai_ml() -> None:
    code = (
        "import time; a = time.perf_counter(); import azft; b = time.perf_counter();"
        "import azure.ai.ml; c = time.perf_counter(); print((b - a) / (c - b))"
    )
    ratios = [float(subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True)) for _ in range(3)]
    assert min(ratios) <= 1 / 30
