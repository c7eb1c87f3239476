"""azure-ai-ml of several years against the emulator, each in an environment of its own that CI makes below `.ci`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.api_versions import arm_versions
from tests.workspaces import client_of

ROOT = Path(__file__).parents[1]
VERSIONS = ("1.20.0", "1.26.5", "1.30.0", "1.33.0", "newest")
STEPS = (
    "workspace", "registry", "compute", "usage", "data", "environment", "tuning", "download", "components", "sweep",
    "jobs", "model", "endpoint", "keys", "logs", "all",
)  # fmt: skip


@pytest.mark.sdks
@pytest.mark.parametrize("version", VERSIONS)
def test_each_version_walks_through(version: str, tmp_path: Path) -> None:
    python = ROOT / ".ci" / f"sdk-{version}" / "bin" / "python"
    assert python.exists(), f"{python} is made by .ci/run"
    with AzureMLEmulator(tmp_path / "azure") as emulator:
        emulator.script(Outcome(seconds=0))
        (tmp_path / "work").mkdir()
        ran = subprocess.run(
            [python, ROOT / "tests" / "sdk_flow.py", tmp_path / "work"],
            env={**os.environ, **emulator.environment(), "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        refused = [one for one in emulator.requests if one.status == 501]
    done = re.findall(r"^done (\w+)", ran.stdout, re.MULTILINE)
    assert tuple(done) == STEPS, ran.stdout + ran.stderr
    assert refused == []
    if version != "newest":
        assert f"done all {version}" in ran.stdout


@pytest.mark.sdks
def test_the_javascript_client_walks_through(tmp_path: Path) -> None:
    """@azure/arm-machinelearning 2.1.1, which waits for long operations in its own way."""
    with AzureMLEmulator(tmp_path / "azure") as emulator:
        variables = emulator.environment()
        modules, node = str(ROOT / ".ci" / "node" / "node_modules"), shutil.which("node")
        assert node, "node is not installed"
        ran = subprocess.run(
            [node, ROOT / "tests" / "js_flow.cjs"],
            env={
                **os.environ,
                **variables,
                "NODE_PATH": modules,
                "NODE_EXTRA_CA_CERTS": variables["SSL_CERT_FILE"],
            },
            capture_output=True,
            text=True,
            check=False,
        )
        wrong = [(one.method, one.path, one.status) for one in emulator.requests if one.status >= 400]
    done = re.findall(r"^done (.+)", ran.stdout, re.MULTILINE)
    assert done[-1:] == ["compute gone"], ran.stdout + ran.stderr
    assert (len(done), wrong, emulator.refused) == (27, [], [])


@pytest.mark.sdks
def test_mlflow_2_reads_and_writes_artifacts_over_the_wire(tmp_path: Path) -> None:
    with AzureMLEmulator(tmp_path / "azure") as emulator:
        world = emulator.world
        (tmp_path / "work").mkdir()
        ran = subprocess.run(
            [
                ROOT / ".ci" / "sdk-mlflow2" / "bin" / "python",
                ROOT / "tests" / "mlflow_flow.py",
                f"azureml://{world.host}/mlflow/v1.0{world.id}",
                tmp_path / "work",
            ],
            env={**os.environ, **emulator.environment(), "PYTHONPATH": ""},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        client = client_of(emulator)
        logged, uploaded = client.models.get("logged", "1"), client.models.get("uploaded", "1")
        client.models.download("logged", "1", download_path=tmp_path)
        paths = [one.path for one in emulator.requests if "/artifacts/" in one.path]
    found = json.loads(ran.stdout.partition("found ")[2])
    assert found["address"].startswith("azureml://")
    assert found["top"] == ["model", "notes"]
    assert found["model"] == ["model/MLmodel", "model/data"]
    assert found["registered"] == ["logged", "uploaded"]
    assert all(place.startswith("azureml://") for place in found["places"].values())
    assert len(found["files"]) == 3
    assert set(found["files"].values()) == {"weights"}
    assert logged.type == uploaded.type == "mlflow_model"
    assert [file.read_text() for file in (tmp_path / "logged").rglob("weights.txt")] == ["weights"]
    assert any("/history/v1.0" in path for path in paths)
    assert any("/artifact/v2.0" in path for path in paths)


def test_every_version_that_microsoft_publishes_is_taken_and_no_other() -> None:
    """Compare with the types that Microsoft generates from the specification; newer ones come from its index."""
    published = json.loads((ROOT / "tests/data/published_api_versions.json").read_text(encoding="utf-8"))["versions"]
    newer = {"2020-04-01-preview", "2026-07-01", "2026-07-15-preview", "2026-09-01"}
    for kind, known in published.items():
        rest = kind.removeprefix("workspaces").replace("/versions", "").replace("/deployments", "")
        taken = set(arm_versions("/workspaces/{workspace}" + rest + "/{name}"))
        assert taken - newer == set(known), kind
