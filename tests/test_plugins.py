"""Hooks: what is offered, and how mistakes are refused."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pluggy
import pytest

import azft
from azft import DuplicateNameError, ModelSpec, PluginError, Run, RunEvent, hookimpl, load_plugins
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import HOOKS

ROOT = Path(__file__).parents[1]


def plugin(**hooks: Any) -> ModuleType:
    module = ModuleType("acme")
    for name, hook in hooks.items():
        hook.__name__ = name
        setattr(module, name, hookimpl(hook))
    return module


def offering(**values: Any) -> ModuleType:
    """Return a plugin whose hooks take nothing and return these values."""

    def hook_for(value: Any) -> Any:
        def hook() -> Any:
            return value

        return hook

    return plugin(**{name: hook_for(value) for name, value in values.items()})


def test_a_misspelt_hook_names_the_plugin_and_the_right_hook() -> None:
    with pytest.raises(PluginError, match="'acme'") as caught:
        load_plugins(offering(azft_model=[]))
    assert "did you mean 'azft_models'?" in str(caught.value)


def test_a_wrong_argument_names_the_plugin() -> None:
    with pytest.raises(PluginError, match=r"'acme'.*"):
        load_plugins(plugin(azft_check=lambda plane: []))


def test_two_offers_of_one_name_name_both_plugins() -> None:
    other = offering(azft_models=[ModelSpec("Phi-4")])
    with pytest.raises(DuplicateNameError, match="'acme'") as caught:
        Catalogue(load_plugins(other))
    assert "azft.builtin.models" in str(caught.value)


def test_a_hook_wrapper_is_refused() -> None:
    module = ModuleType("acme")

    def azft_models() -> Any:
        return (yield)

    module.azft_models = pluggy.HookimplMarker("azft")(azft_models, wrapper=True)  # type: ignore[attr-defined]
    with pytest.raises(PluginError, match="'acme': azft_models is a hook wrapper"):
        load_plugins(module)


def test_an_offer_of_the_wrong_kind_names_the_plugin_and_the_hook() -> None:
    with pytest.raises(PluginError, match="'acme': azft_models returned 'Phi-9'"):
        Catalogue(load_plugins(offering(azft_models=["Phi-9"])))
    with pytest.raises(PluginError, match="'acme': azft_models returned 3, expected a list"):
        Catalogue(load_plugins(offering(azft_models=3)))


def test_a_plugin_registered_twice_is_refused() -> None:
    twice = offering(azft_models=[])
    with pytest.raises(PluginError, match="registered twice"):
        load_plugins(twice, twice)


def test_a_plugin_that_fails_to_import_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "azft_broken.py").write_text("raise RuntimeError('no such device')\n", encoding="utf-8")
    info = tmp_path / "azft_broken-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: azft-broken\nVersion: 1.0\n", encoding="utf-8")
    (info / "entry_points.txt").write_text("[azft]\nbroken = azft_broken\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PluginError, match=r"'broken' \(azft_broken\) cannot be imported: RuntimeError: no such device"):
        load_plugins()


def test_a_policy_can_stop_a_plan() -> None:
    finding = azft.Finding("ACME-1", "error", "budget", "the month's budget is spent")
    plugins = load_plugins(plugin(azft_check=lambda plan: [finding]))
    session = azft.FineTuneSession(plugins=plugins, progress=False)
    assert finding in session.plan().errors
    with pytest.raises(azft.PlanError, match="the month's budget is spent"):
        session.submit()


def test_a_failing_observer_is_logged_and_the_next_one_still_told(caplog: pytest.LogCaptureFixture) -> None:
    told: list[RunEvent] = []

    def fails(event: RunEvent) -> None:
        raise ValueError(event.message)

    def tells(event: RunEvent) -> None:
        told.append(event)

    second = plugin(azft_run_event=tells)
    second.__name__ = "second"
    plugins = load_plugins(plugin(azft_run_event=fails), second)
    with caplog.at_level(logging.ERROR):
        plugins.observe(RunEvent(0.0, "log", message="hello"), Run("r", "local", "r"))
    assert len(told) == 1
    assert "plugin 'acme' failed" in caplog.text


def test_the_page_of_hooks_is_up_to_date_and_names_every_hook() -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "make_hooks_page.py", "--check"], check=True)
    page = (ROOT / "docs" / "hooks.md").read_text(encoding="utf-8")
    assert all(f"`{hook}" in page for hook in HOOKS)


def test_a_third_partys_package_is_installed_and_drops_in(tmp_path: Path) -> None:
    place = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target", place,
         ROOT / "examples" / "azft-acme"],
        check=True,
    )  # fmt: skip
    code = (
        f"import sys; sys.path.insert(0, {str(place)!r}); import azft\n"
        "session = azft.FineTuneSession('Acme-Chat-7B', 'acme_support', naming='acme', progress=False)\n"
        "plan = session.plan(); print(plan.display_name, plan.model_name)\n"
        "data = azft.DatasetPreparer('data').prepare('acme_support'); print(data.train.rows, len(data.preview(2)))\n"
    )
    said = subprocess.check_output([sys.executable, "-c", code], text=True, cwd=tmp_path).splitlines()
    assert said == ["acme-Acme-Chat-7B-8ep acme-acme_support", "16 2"]
