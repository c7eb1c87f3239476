"""Mistakes that newcomers made (cases N3, N9, N11, N16, P9, P13): each names the thing, the cause and the fix."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import azft
from azft.backends.azureml.backend import AzureMLBackend
from azft.testing.emulator import AzureMLEmulator
from tests.workspaces import SIZE

pytestmark = pytest.mark.shared


def session(folder: Path, **settings: Any) -> azft.FineTuneSession:
    return azft.FineTuneSession(**{"folder": folder / ".azft", "progress": False, **settings})


def problems(plan: azft.Plan) -> str:
    """Return everything a plan holds against itself."""
    return "\n".join(str(finding) for finding in plan.findings if finding.severity != "note")


def rows(path: Path, head: str, sign: str = ",") -> Path:
    lines = [head, *(f"question {number}{sign}answer {number}" for number in range(30))]
    path.write_text("\n".join(lines), encoding="utf-8-sig")
    return path


class TestOnAzure:
    def plan(self, backend: AzureMLBackend, folder: Path, compute: str, model: str = "Phi-4") -> azft.Plan:
        return session(folder, model=azft.ModelSpec(model), backend=backend, compute=compute).plan()

    def test_no_compute(self, emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path) -> None:
        said = problems(self.plan(backend, tmp_path, ""))
        assert "AZFT-C001 error: compute: none was given" in said
        assert "compute='Standard_NC24ads_A100_v4'" in said

    def test_a_misspelt_size(self, emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path) -> None:
        said = problems(self.plan(backend, tmp_path, "Standard_NC24ad_A100_v4"))
        assert f"did you mean '{SIZE}'?" in said
        assert "the region offers no machine size of that name" in said

    def test_a_cluster_that_is_not_there(
        self, emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
    ) -> None:
        assert "session.create_compute('gpu-clustr', SIZE) makes it" in problems(
            self.plan(backend, tmp_path, "gpu-clustr")
        )

    def test_a_model_of_another_registry(
        self, emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
    ) -> None:
        said = problems(self.plan(backend, tmp_path, SIZE, "Meta-Llama-3-8B-Instruct"))
        assert "falcon" not in said
        assert "registry='azureml-meta'" in said
        # What follows from the missing model is no finding of its own.
        assert [line[:9] for line in said.splitlines()] == ["AZFT-M001"]


def test_lr_for_learning_rate(tmp_path: Path) -> None:
    said = problems(session(tmp_path, parameters={"lr": 1e-4}).plan())
    assert "lr (user): no such parameter" in said
    assert "'learning_rate'" in said
    assert len(said) < 250


def test_a_whole_parameter_as_text(tmp_path: Path) -> None:
    with pytest.raises(azft.ConfigurationError, match="parameters is 'lr=1', expected Mapping"):
        session(tmp_path, parameters="lr=1")


def test_own_data_in_one_word(tmp_path: Path) -> None:
    path = rows(tmp_path / "tickets.csv", "prompt,answer")
    frame = pd.read_csv(path)
    for data in (str(path), path, frame, frame.to_dict("records")):
        assert problems(session(tmp_path, dataset=data).plan()) == ""


def test_a_table_as_german_excel_writes_it(tmp_path: Path) -> None:
    path = rows(tmp_path / "tickets.csv", "prompt;answer", ";")
    assert problems(session(tmp_path, dataset=path).plan()) == ""
    other = rows(tmp_path / "fragen.csv", "Frage;Antwort", ";")
    assert "columns={'Frage': 'prompt', 'Antwort': 'completion'}" in problems(session(tmp_path, dataset=other).plan())


def test_a_sheet_of_excel(tmp_path: Path) -> None:
    path = tmp_path / "tickets.xlsx"
    path.write_bytes(b"PK")
    assert "Save As > CSV UTF-8" in problems(session(tmp_path, dataset=path).plan())


def test_a_file_that_is_called_otherwise(tmp_path: Path) -> None:
    rows(tmp_path / "tickets.csv", "prompt,answer")
    assert "did you mean 'tickets.csv'?" in problems(session(tmp_path, dataset=tmp_path / "tikets.csv").plan())


def test_a_misspelt_column(tmp_path: Path) -> None:
    path = rows(tmp_path / "tickets.csv", "promt,answer")
    assert "columns={'promt': 'prompt'" in problems(session(tmp_path, dataset=path).plan())


def test_a_parameter_of_nothing_is_left_to_the_component(tmp_path: Path) -> None:
    plan = session(tmp_path, parameters={"max_steps": None}).plan()
    assert plan.parameters["max_steps"] == -1
    assert not plan.errors


def test_a_file_without_rows_forecasts_no_work(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_text("prompt,answer\n")
    plan = session(tmp_path, dataset=tmp_path / "empty.csv").plan()
    assert plan.forecast is None
    assert "AZFT-D003" in problems(plan)


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    said = problems(session(tmp_path, model=azft.ModelSpec("mine", weights="no/such/folder")).plan())
    assert "no folder no/such/folder" in said
    assert "registry" not in said
    assert [line[:9] for line in said.splitlines()] == ["AZFT-M001"]


MISTAKES: list[tuple[str, Callable[[Path], object], str, str]] = [
    (
        "a model nobody offers",
        lambda folder: session(folder, model="Phi-3-mini-4k-instrukt"),
        "no model 'Phi-3-mini-4k-instrukt'",
        "did you mean 'Phi-3-mini-4k-instruct'?",
    ),
    (
        "a path as the model",
        lambda folder: session(folder, model=Path("weights")),
        "expected a name or ModelSpec",
        "weights=FOLDER",
    ),
    (
        "a setting of another name",
        lambda folder: session(folder, computee="local"),
        "no setting 'computee'",
        "did you mean 'compute'?",
    ),
    (
        "a choice that there is not",
        lambda folder: session(folder, sample="frist"),
        "sample is 'frist'",
        "'first', 'random', 'cluster'",
    ),
    (
        "a choice that there is not, again",
        lambda folder: session(folder, on_bad="skip"),
        "on_bad is 'skip'",
        "'raise', 'drop', 'fix'",
    ),
    (
        "a budget that is no amount",
        lambda folder: session(folder, budget=float("nan")),
        "budget is nan",
        "a number above 0",
    ),
    ("a price as text", lambda folder: session(folder, prices={"X": "3"}), "prices['X'] is '3'", "a number above 0"),
    ("a number as the compute", lambda folder: session(folder, compute=5), "compute is 5", "the name of a cluster"),
    (
        "no folder",
        lambda _folder: azft.FineTuneSession(folder=None),  # type: ignore[arg-type]
        "folder is None",
        "give a path",
    ),
    ("a key that is no text", lambda folder: session(folder, parameters={5: 1}), "a key of parameters is 5", "write"),
    ("a seed as text", lambda folder: session(folder, seed="x"), "seed is 'x'", "a whole number"),
    ("plugins as a list", lambda folder: azft.load_plugins([1]), "was given a list", "load_plugins(*PLUGINS)"),
    (
        "a task that there is not",
        lambda folder: session(folder).models("chat-completionn"),
        "no task 'chat-completionn'",
        "did you mean 'chat-completion'?",
    ),
    ("a number as the data", lambda folder: session(folder, dataset=42), "dataset is int", "a pandas frame"),
    (
        "a mapping as the data's settings",
        lambda folder: session(folder, data={"percent": 5}),
        "data is {'percent': 5}",
        "percent=5",
    ),
    (
        "a backend that is none",
        lambda folder: session(folder, backend=object()),
        "backend is a value of type object",
        "azft.connect()",
    ),
    ("a misspelt backend", lambda folder: session(folder, backend="azure"), "no backend 'azure'", "'azureml'"),
    (
        "the id of a run for the run",
        lambda folder: session(folder).watch("run-1"),  # type: ignore[arg-type]
        "run is 'run-1'",
        "session.attach('run-1')",
    ),
    (
        "a folder for a run",
        lambda folder: azft.ModelRegistrar(azft.connect("local", folder=folder)).register(folder, "mine"),
        "holds no model",
        "save_pretrained()",
    ),
    (
        "a name for a model",
        lambda folder: session(folder).deploy("mine"),  # type: ignore[arg-type]
        "model is 'mine', expected RegisteredModel",
        "session.register(run)",
    ),
    ("a run that there is not", lambda folder: session(folder).attach("nope"), "no run 'nope'", "runs"),
]


@pytest.mark.parametrize(("make", "cause", "fix"), [case[1:] for case in MISTAKES], ids=[case[0] for case in MISTAKES])
def test_a_mistake_is_named_with_its_fix(tmp_path: Path, make: Callable[[Path], object], cause: str, fix: str) -> None:
    with pytest.raises(azft.AzftError) as caught:
        make(tmp_path)
    assert cause in str(caught.value)
    assert fix in str(caught.value)


class Raising:
    @azft.hookimpl
    def azft_check(self, plan: azft.Plan) -> object:
        raise ZeroDivisionError("boom")


class Telling:
    @azft.hookimpl
    def azft_check(self, plan: azft.Plan) -> object:
        return "all is well"


class Wrong:
    @azft.hookimpl
    def azft_check(self, plan: azft.Plan) -> object:
        return [plan.display_name]


class RaisingOffer:
    @azft.hookimpl
    def azft_datasets(self) -> object:
        raise KeyError("boom")


@pytest.mark.parametrize(
    ("plugin", "said"),
    [
        (Raising(), "plugin 'Raising': azft_check raised ZeroDivisionError: boom"),
        (Telling(), "plugin 'Telling': azft_check returned 'all is well', expected a list"),
        (Wrong(), "plugin 'Wrong': azft_check returned"),
        (RaisingOffer(), "plugin 'RaisingOffer': azft_datasets raised KeyError"),
    ],
)
def test_a_plugin_that_fails_is_named(tmp_path: Path, plugin: object, said: str) -> None:
    with pytest.raises(azft.PluginError) as caught:
        session(tmp_path, plugins=azft.load_plugins(plugin)).plan()
    assert said in str(caught.value)


def test_a_backend_with_half_its_ports_is_told_which_it_lacks(tmp_path: Path) -> None:
    class Half:
        name = "half"

        def submit(self) -> None: ...

    with pytest.raises(azft.ConfigurationError, match="backend 'half' lacks find_model, find_compute"):
        session(tmp_path, backend=Half())


def test_an_observer_knows_whose_event_it_is() -> None:
    seen: list[str] = []

    class Observer:
        @azft.hookimpl
        def azft_run_event(self, event: azft.RunEvent, run: azft.Run) -> None:
            seen.append(f"{run.backend} {run.id} {event.kind}")

    azft.load_plugins(Observer()).observe(azft.RunEvent(0.0, "log"), azft.Run("run-1", "local", "shown"))
    assert seen == ["local run-1 log"]


def test_a_setting_that_ask_has_not_is_refused_by_name(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    model = azft.RegisteredModel("m", "1", "uri", "azureml")
    endpoint = azft.Endpoint("e", "http://127.0.0.1:1", model, "key")
    with pytest.raises(azft.ConfigurationError, match=r"no setting 'max_token'[^\n]*\n[^\n]*did you mean 'max_tokens'"):
        backend.ask(endpoint, [{"role": "user", "content": "hello"}], max_token=5)
    local = azft.connect("local", folder=tmp_path)
    with pytest.raises(azft.ConfigurationError, match=r"no setting 'max_token'[^\n]*\n[^\n]*did you mean 'max_tokens'"):
        local.ask(endpoint, [{"role": "user", "content": "hello"}], max_token=5)
