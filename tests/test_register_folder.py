"""Models that no azft run has made: a folder of weights or an MLflow model, registered, deployed, once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from azft import ConfigurationError, FineTuneSession
from azft.backends.azureml.backend import AzureMLBackend
from azft.flow.register import ModelRegistrar
from azft.stages.plain import mlflow_model
from azft.testing.emulator import AzureMLEmulator
from tests.small_runs import replaced
from tests.test_local_backend import own_model


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replaced(own_model(tmp_path_factory.mktemp("model") / "weights"), "llama")


@pytest.fixture(params=["local", "azureml"])
def session(request: pytest.FixtureRequest, tmp_path: Path) -> FineTuneSession:
    if request.param == "local":
        return FineTuneSession(folder=tmp_path / "home", progress=False)
    started = request.getfixturevalue("emulator")
    assert isinstance(started, AzureMLEmulator)
    backend = AzureMLBackend(instance_type="Standard_DS3_v2")
    return FineTuneSession("Phi-4", backend=backend, folder=tmp_path / "home", progress=False)


def test_weights_are_registered_once_and_answer(session: FineTuneSession, weights: Path) -> None:
    model = session.register(weights, "from-a-folder")
    assert session.register(str(weights), "from-a-folder") == model
    assert session.backend.versions("from-a-folder") == (model.version,)
    with session.deploy(model) as endpoint:
        assert isinstance(endpoint.ask("1 plus one", max_tokens=4), str)
    report = session.cleanup(everything=True)
    assert not report.failed
    assert not session.backend.versions("from-a-folder") or session.backend.name == "azureml"


def test_a_program_is_online_afterwards(weights: Path) -> None:
    with mlflow_model(weights, "mine"):
        assert "HF_HUB_OFFLINE" not in os.environ


def test_an_mlflow_model_is_taken_as_it_is(session: FineTuneSession, weights: Path) -> None:
    with mlflow_model(weights, "mine") as folder:
        one = ModelRegistrar(session.backend).register(folder, "as-it-is")
        assert ModelRegistrar(session.backend).register(folder, "as-it-is") == one


@pytest.mark.parametrize("named", ["empty", "x" * 5000, "no/such/place"])
def test_what_is_no_model_is_refused(tmp_path: Path, named: str) -> None:
    (tmp_path / "empty").mkdir()
    session = FineTuneSession(folder=tmp_path / "home", progress=False)
    with pytest.raises(ConfigurationError, match=r"holds no model|expected Run"):
        session.register(named, "nothing")


def test_weights_that_cannot_be_loaded_are_refused(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "config.json").write_text("{}")
    session = FineTuneSession(folder=tmp_path / "home", progress=False)
    with pytest.raises(ConfigurationError, match="holds no model that can be loaded"):
        session.register(broken, "broken")
