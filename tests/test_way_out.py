"""`job.to_sdk()`: a script of plain azure-ai-ml calls that asks the service for the same job (case N5)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import azft
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.internals import raw_job
from azft.testing.emulator import AzureMLEmulator
from tests.workspaces import CLUSTER, SIZE

pytestmark = pytest.mark.shared
SAMPLE = "ultrachat_sample"
OURS = ("azft.session", "azft.token", "azft.key", "azft.model_name", "azft.compute", "azft.size", "azft.nodes")
JOBS: dict[str, dict[str, Any]] = {
    "the defaults": {"compute": CLUSTER},
    "serverless": {"compute": SIZE},
    "parameters": {"compute": CLUSTER, "parameters": {"num_train_epochs": 1, "learning_rate": 1e-5, "seed": 7}},
    "a recipe": {"compute": CLUSTER, "recipe": "lora"},
    "quotes in a name": {"compute": CLUSTER, "naming": azft.NamingScheme("q", lambda _: "it's {x}", lambda _: "mine")},
}


def body_of(backend: AzureMLBackend, name: str) -> dict[str, Any]:
    """Return what the service keeps of a job, as it was put."""
    raw = raw_job(backend._clients.workspace, name)
    body: dict[str, Any] = raw.properties.as_dict()
    return body


def plain(body: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the body without what names the one job: its marks, its name, and where its data was uploaded."""
    tags = {n: v for n, v in body.get("tags", {}).items() if n not in OURS and not n.startswith("azft.data.")}
    text = json.dumps({**body, "tags": tags}, sort_keys=True).replace(name, "NAME")
    held: dict[str, Any] = json.loads(text)
    for step in held["jobs"].values():
        step.pop("_source", None)
        step["inputs"] = {
            name: ({**value, "uri": "DATA"} if name.endswith("_file_path") else value)
            for name, value in step["inputs"].items()
        }
    held.pop("services", None)
    return held


@pytest.mark.parametrize("name", JOBS)
def test_the_script_asks_for_the_same_job(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path, name: str
) -> None:
    settings = {"percent": 8, "progress": False, **JOBS[name]}
    session = azft.FineTuneSession("Phi-4", SAMPLE, backend=backend, folder=tmp_path, **settings)
    plan = session.plan()
    job = session.build(plan)
    ours = session.submit(plan).id
    script = tmp_path / "submit.py"
    script.write_text(job.to_sdk(), encoding="utf-8")
    assert "import azft" not in job.to_sdk()
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", script], env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip()
    theirs = ran.stdout.split()[0]
    assert plain(body_of(backend, theirs), theirs) == plain(body_of(backend, ours), ours)


def test_a_model_of_this_machine_has_no_way_to_azure(tmp_path: Path) -> None:
    session = azft.FineTuneSession(dataset=SAMPLE, percent=8, folder=tmp_path, progress=False)
    with pytest.raises(azft.UnsupportedError, match="a stand-in for it is tuned on this machine"):
        session.build().to_sdk()
