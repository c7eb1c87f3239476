"""Models served by vLLM's container on Azure: what is deployed, and that it is asked and streamed as OpenAI's is."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from azft import ConfigurationError, FineTuneSession
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.containers import NAME, dockerfile
from azft.errors import BackendError
from azft.rules.streams import BrokenOffError, pieces
from azft.testing.emulator import AzureMLEmulator
from tests.small_runs import replaced
from tests.test_local_backend import own_model

SIZE = "Standard_NC24ads_A100_v4"
ASKED = [{"role": "user", "content": "20 plus one"}]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replaced(own_model(tmp_path_factory.mktemp("model") / "weights"), "llama")


def session_of(folder: Path, **settings: Any) -> FineTuneSession:
    backend = AzureMLBackend(instance_type=SIZE, **settings)
    return FineTuneSession("Phi-4", backend=backend, folder=folder / "home", progress=False)


def test_both_faces_give_the_same_answer(emulator: AzureMLEmulator, weights: Path, tmp_path: Path) -> None:
    plain, served = session_of(tmp_path), session_of(tmp_path, server="vllm", server_arguments="--max-model-len 64")
    model = plain.register(weights, "tuned")
    with plain.deploy(model) as one, served.deploy(model) as other:
        assert one.url.endswith("/score")
        assert other.url.endswith("/v1/chat/completions")
        answer = one.ask(ASKED, max_tokens=5)
        assert other.ask(ASKED, max_tokens=5) == answer
        # A scoring address gives its answer in one piece, OpenAI's as it comes.
        assert "".join(one.stream(ASKED, max_tokens=5)) == answer
        assert "".join(other.stream(ASKED, max_tokens=5)) == answer
        (document,) = (found for found in emulator.world.state.all("deployments") if other.name in found["id"])
        told = document["properties"]
        assert told["environmentVariables"] == {"VLLM_ARGS": "--max-model-len 64"}
        assert f"/environments/{NAME}/versions/" in told["environmentId"]
        (made,) = emulator.world.state.all("environments", f"{NAME}:")
        routes = made["properties"]["inferenceConfig"]
        assert {name: (route["port"], route["path"]) for name, route in routes.items()} == {
            "livenessRoute": (8000, "/health"),
            "readinessRoute": (8000, "/health"),
            "scoringRoute": (8000, "/"),
        }
        with pytest.raises(ConfigurationError, match="did you mean"):
            other.ask(ASKED, max_token=5)
        with pytest.raises(BackendError, match="answered 400"):
            list(other.stream(ASKED, max_tokens=5000))
    # The image is built once: another deployment finds it.
    with served.deploy(model):
        assert len(list(emulator.world.state.all("environments", f"{NAME}:"))) == 1
    plain.cleanup(everything=True)


def test_this_machine_streams_too(weights: Path, tmp_path: Path) -> None:
    session = FineTuneSession(folder=tmp_path / "home", progress=False)
    with session.deploy(session.register(weights, "tuned")) as endpoint:
        assert "".join(endpoint.stream(ASKED, max_tokens=5)) == endpoint.ask(ASKED, max_tokens=5)
        with pytest.raises(ConfigurationError, match="no setting"):
            list(endpoint.stream(ASKED, max_token=5))


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"server": "tgi"}, "'vllm'"),
        ({"server": "vllm", "environment": "azureml:mine:1"}, "both say what serves"),
        ({"server": "vllm", "server_arguments": "; rm -rf /"}, "server_arguments"),
        ({"server": "vllm", "server_arguments": "$(id)"}, "server_arguments"),
        ({"server": "vllm", "server_image": 'x"\nRUN id'}, "server_image"),
    ],
)
def test_settings_that_cannot_be(emulator: AzureMLEmulator, settings: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        AzureMLBackend(**settings)


def test_a_size_without_a_gpu_is_refused(emulator: AzureMLEmulator, weights: Path, tmp_path: Path) -> None:
    session = FineTuneSession(
        "Phi-4",
        backend=AzureMLBackend(instance_type="Standard_DS3_v2", server="vllm"),
        folder=tmp_path / "home",
        progress=False,
    )
    model = session.register(weights, "tuned")
    with pytest.raises(ConfigurationError, match="has no GPU"):
        session.deploy(model)


@pytest.mark.parametrize("layout", ["model", "trained_model/data/model", "."])
def test_the_container_finds_the_weights(tmp_path: Path, layout: str) -> None:
    """The entry point is run by a shell, with vLLM's place taken by a program that prints what it was told."""
    folder = tmp_path / "mounted" / "tuned" / "1" / layout
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    program = tmp_path / "bin" / "python3"
    program.parent.mkdir()
    program.write_text('#!/bin/sh\necho "$@"\n')
    program.chmod(0o755)
    text = dockerfile("vllm/vllm-openai:v0.30.0").replace("\\\n", "")
    entry = text.splitlines()[1].removeprefix("ENTRYPOINT ")
    import orjson

    command = orjson.loads(entry)
    environment = {
        "PATH": f"{program.parent}:/usr/bin:/bin",
        "AZUREML_MODEL_DIR": str(tmp_path / "mounted"),
        "VLLM_ARGS": "--max-model-len 64",
    }
    said = subprocess.check_output(command, env=environment, text=True)
    assert said.split() == [
        *("-m", "vllm.entrypoints.openai.api_server", "--port", "8000", "--served-model-name", "model"),
        *("--model", str(folder) if layout != "." else str(tmp_path / "mounted" / "tuned" / "1")),
        *("--max-model-len", "64"),
    ]


def test_a_stream_that_breaks_off_is_no_answer() -> None:
    with pytest.raises(BrokenOffError):
        list(pieces([b'data: {"choices": [{"delta": {"content": "Hi"}}]}']))
