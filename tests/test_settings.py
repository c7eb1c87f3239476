"""A file of settings: read with every fault named, written, and described by a schema."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

import azft
from azft.settings.file import read_settings, schema

REPOSITORY = Path(__file__).parents[1]
GOOD = """
model: Phi-4
dataset: tickets.csv
backend: {name: azureml, settings: {workspace: mine}}
compute: gpu
parameters: {num_train_epochs: 2, learning_rate: 2.0e-5, apply_lora: true}
data: {percent: 20, on_bad: drop}
budget: 50
"""


def test_a_file_is_read_with_paths_beside_it(tmp_path: Path) -> None:
    (tmp_path / "tickets.csv").write_text("prompt,answer\n")
    (tmp_path / "finetune.yaml").write_text(GOOD)
    settings = read_settings(tmp_path / "finetune.yaml")
    assert settings.dataset == str(tmp_path / "tickets.csv")
    assert settings.parameters["learning_rate"] == pytest.approx(2e-5)
    assert settings.data == azft.DataSettings(percent=20, on_bad="drop")
    assert settings.folder == str(tmp_path / ".azft")


def test_toml_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('model = "Phi-4"\nbudget = 50\n[parameters]\nnum_train_epochs = 2\n')
    (tmp_path / "a.yaml").write_text("model: Phi-4\nbudget: 50\nparameters: {num_train_epochs: 2}\n")
    assert read_settings(tmp_path / "a.toml") == read_settings(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modle: Phi-4\n", "line 1: modle is no setting; did you mean 'model'?"),
        ("model: Phi-4\ndata:\n  percnt: 5\n", "line 3: data.percnt is no setting; did you mean 'percent'?"),
        ("data: {on_bad: skip}\n", "data.on_bad is 'skip', expected one of 'raise', 'drop', 'fix'"),
        ("budget: much\n", "budget is 'much', expected a number or nothing"),
        ("parameters: [1]\n", "parameters is [1], expected keys and values"),
        ("model: {weights: x}\n", "model lacks 'name'"),
        ("model: {name: x, wieghts: y}\n", "model.wieghts is no setting; did you mean 'weights'?"),
        ("- 1\n", "the file is [1], expected keys and values"),
        ("model: [\n", "is not YAML"),
        ("false\n", "the file is False, expected keys and values"),
        ("model: a\nmodel: b\n", "the key 'model' stands twice"),
        ("parameters: {5: x}\n", "parameters has the key 5, expected text"),
        ("dataset: {name: t, source: mine.csv}\n", "dataset: DatasetSpec source is 'mine.csv'"),
        ("data: {percent: 0}\n", "percent is 0.0, expected a number above 0"),
    ],
)
def test_every_fault_is_named_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "finetune.yaml"
    path.write_text(text)
    with pytest.raises(azft.ConfigurationError) as caught:
        read_settings(path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_faults_are_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "finetune.yaml"
    path.write_text("modle: x\nbudget: y\n")
    with pytest.raises(azft.ConfigurationError) as caught:
        read_settings(path)
    assert len(caught.value.problems) == 2


def test_a_file_that_is_not_there_or_of_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(azft.ConfigurationError, match="cannot be read: No such file"):
        read_settings(tmp_path / "none.yaml")
    with pytest.raises(azft.ConfigurationError, match="unknown kind of settings"):
        read_settings(tmp_path / "none.ini")


def test_a_session_is_written_and_read_again(tmp_path: Path) -> None:
    data = tmp_path / "tickets.jsonl"
    data.write_text("{}\n")
    spec = azft.ModelSpec("Phi-3-mini-4k-instruct", chat_template="")
    first = azft.FineTuneSession(
        spec, data, parameters={"num_train_epochs": 2}, recipe="lora", percent=20, budget=5.0, folder=tmp_path / "kept"
    )
    path = first.to_file(tmp_path / "finetune.yaml")
    again = azft.FineTuneSession.from_file(path)
    assert again.to_file(tmp_path / "again.yaml").read_text() == path.read_text()
    assert "percent: 20" in path.read_text()
    assert "seed" not in path.read_text()


def test_the_default_session_comes_back_as_it_was(tmp_path: Path) -> None:
    first = azft.FineTuneSession(folder=tmp_path / ".azft", progress=False)
    path = first.to_file(tmp_path / "finetune.yaml")
    assert "dataset" not in path.read_text()
    again = azft.FineTuneSession.from_file(path, progress=False)
    assert again.plan() == first.plan()


def test_a_file_leads_to_its_data_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, elsewhere = tmp_path / "here", tmp_path / "elsewhere"
    here.mkdir()
    elsewhere.mkdir()
    rows = "prompt,answer\n" + "".join(f"q{n},a{n}\n" for n in range(30))
    (here / "mine.csv").write_text(rows)
    (here / "by_hand.yaml").write_text("dataset: {name: mine, source: file://mine.csv}\n")
    monkeypatch.chdir(here)
    azft.FineTuneSession(dataset="mine.csv", folder=tmp_path).to_file("written.yaml")
    monkeypatch.chdir(elsewhere)
    for name in ("by_hand.yaml", "written.yaml"):
        plan = azft.FineTuneSession.from_file(Path("..", "here", name), progress=False).plan()
        assert not plan.errors


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"recipe": azft.Recipe("mine", {})}, "recipe was given as a value"),
        ({"convert": lambda row: row}, "convert was given as a value"),
        ({"model": azft.ModelSpec("m", defaults={"seed": 1})}, "has defaults of its own"),
    ],
)
def test_what_no_file_can_hold_is_refused(tmp_path: Path, settings: dict[str, Any], said: str) -> None:
    session = azft.FineTuneSession(**{"dataset": "ultrachat_sample", "folder": tmp_path, **settings})
    with pytest.raises(azft.ConfigurationError, match=said):
        session.to_file(tmp_path / "x.yaml")
    assert not (tmp_path / "x.yaml").exists()


def test_rows_in_memory_cannot_be_written(tmp_path: Path) -> None:
    session = azft.FineTuneSession(dataset=[{"prompt": "a", "answer": "b"}] * 20, folder=tmp_path)
    with pytest.raises(azft.ConfigurationError, match="rows are in memory"):
        session.to_file(tmp_path / "x.yaml")


def test_the_schema_is_one_and_the_published_one_is_it() -> None:
    Draft202012Validator.check_schema(schema())
    published = json.loads((REPOSITORY / "docs" / "finetune.schema.json").read_text(encoding="utf-8"))
    assert published == schema(), "run: azft schema > docs/finetune.schema.json"


def test_the_schema_takes_every_example_and_refuses_a_misspelt_key() -> None:
    import yaml

    check = Draft202012Validator(schema())
    examples = sorted((REPOSITORY / "examples").glob("*.yaml"))
    assert examples
    for example in examples:
        loaded = yaml.safe_load(example.read_text(encoding="utf-8"))
        assert list(check.iter_errors(loaded)) == []
        read_settings(example)
    assert check.is_valid(yaml.safe_load(GOOD))
    for wrong in ("modle: x", "data: {percnt: 5}", "data: {on_bad: skip}", "budget: much"):
        assert not check.is_valid(yaml.safe_load(wrong)), wrong


def test_a_session_on_azure_comes_back_in_its_workspace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from azft.backends.azureml.backend import AzureMLBackend
    from azft.testing.emulator import AzureMLEmulator

    with AzureMLEmulator(tmp_path / "azure") as emulator:
        backend = AzureMLBackend(instance_type="Standard_NC24ads_A100_v4", poll=0.5)
        session = azft.FineTuneSession(
            "Phi-4", "ultrachat_sample", backend=backend, compute="gpu", folder=tmp_path / "kept", progress=False
        )
        path = session.to_file(tmp_path / "finetune.yaml")
        for name in ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME"):
            monkeypatch.delenv(name, raising=False)
        again = azft.FineTuneSession.from_file(path, progress=False).backend
        assert isinstance(again, AzureMLBackend)
        assert again.workspace.workspace == emulator.world.workspace
        assert dict(again.settings) == dict(backend.settings)
    written = path.read_text(encoding="utf-8")
    assert "instance_type: Standard_NC24ads_A100_v4" in written
    assert "auth_mode" not in written
