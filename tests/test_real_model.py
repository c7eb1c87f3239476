"""A real chat model, offline: it learns a narrow skill here, and takes the default dataset as its files really are."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks.local_hub import LocalHub

ROOT = Path(__file__).parents[1]
TRAIN, TEST, BLANK = 240, 24, (31, 3)
"""Rows of a small stand-in of ultrachat_200k, and how many of them hold a blank message, as the real files do."""
pytestmark = [pytest.mark.slow, pytest.mark.packages]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the plugin installed below it, and where the model's plain weights will be kept."""
    folder = tmp_path_factory.mktemp("real")
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--target",
         folder / "site", ROOT / "examples" / "azft-smollm2"],
        check=True,
    )  # fmt: skip
    return folder


def run(place: Path, code: str, **environment: str) -> str:
    """Run a program with the plugin, and return what it printed."""
    settings = {**os.environ, "PYTHONPATH": str(place / "site"), **environment}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=place,
        env=settings,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_it_learns_to_file_tickets(place: Path) -> None:
    said = run(place, f"import runpy; runpy.run_path({str(ROOT / 'examples/real_model.py')!r}, run_name='__main__')")
    valid = {name: (int(good), int(asked)) for name, good, asked in re.findall(r"(\w+): (\d+) of (\d+) held-out", said)}
    assert valid["base"][0] <= 0.1 * valid["base"][1]
    assert valid["tuned"][0] >= 0.8 * valid["tuned"][1]
    assert '{"team": ' in said.partition("I need a new one today!")[2]
    assert "dequantised to" in said
    assert re.search(r"from plan to cleanup: \d+ s", said)


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[LocalHub]:
    """Serve a small ultrachat_200k with its real schema and its share of blank messages."""
    folder = tmp_path / "hub" / "HuggingFaceH4" / "ultrachat_200k" / "data"
    folder.mkdir(parents=True)
    for split, rows, blank in (("train_sft", TRAIN, BLANK[0]), ("test_sft", TEST, BLANK[1])):
        table = pa.Table.from_pylist([_row(split, number, blank=number < blank) for number in range(rows)])
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet", row_group_size=100)
    with LocalHub(tmp_path / "hub") as served:
        yield served


def _row(split: str, number: int, *, blank: bool) -> dict[str, object]:
    asked = f"What is number {number} of {split}?"
    turns = [("user", asked), ("assistant", f"It is {number}."), ("user", "And then?"), ("assistant", f"{number + 1}.")]
    messages = [{"role": role, "content": content} for role, content in turns]
    if blank:
        messages[2 + number % 2]["content"] = ""
    return {"prompt": asked, "prompt_id": f"{number:064x}", "messages": messages}


README = """
import azft

model = azft.ModelSpec("SmolLM2-135M-Instruct", weights=WEIGHTS)
steps = {"max_steps": 2, "num_train_epochs": 1, "per_device_train_batch_size": 4, "precision": "32", "answers": 1}
session = azft.FineTuneSession(model, parameters={**steps, "apply_lora": True})
plan = session.plan()
run = session.submit(plan)
result = session.watch(run)
report = session.evaluate(run)
print(report)
model = session.register(run)
with session.deploy(model) as endpoint:
    print(endpoint.ask("What is LoRA?", max_tokens=8))
session.cleanup()
"""


def test_the_readmes_program_takes_the_default_dataset_as_it_really_is(place: Path, hub: LocalHub) -> None:
    (weights,) = (place / ".azft" / "weights").iterdir()
    said = run(
        place, README.replace("WEIGHTS", repr(str(weights))), HF_ENDPOINT=hub.endpoint, HF_HOME=str(place / "hf")
    )
    assert f"{sum(BLANK)} of {TRAIN + TEST} rows left out: blank message" in said
    assert f"Evaluation on {TEST - BLANK[1]} held-out conversations" in said


CLUSTER = """
import sys
from pathlib import Path

import azft
from azft.snapshot import RegistryVersion
from azft.testing.emulator import AzureMLEmulator

WEIGHTS, SCRIPT, DATA = sys.argv[1:]
how = {
    "parameters": {"apply_lora": True, "precision": "32", "max_steps": 3, "per_device_train_batch_size": 1,
                   "logging_steps": 1, "evaluation_strategy": "disable", "answers": 1, "threads": 1},
    "trainer": azft.Script(SCRIPT), "progress": False,
}

def losses(session):
    run = session.submit()
    told = [event.values["loss"] for event in session.backend.events(run) if "loss" in event.values]
    return told, session.evaluate(run)

def more(**parameters):
    return {**how, "parameters": {**how["parameters"], **parameters}}

local = azft.FineTuneSession(
    azft.ModelSpec("real", weights=WEIGHTS), DATA, folder="on-this-machine", **more(processes=4)
)
one, expected = losses(local)
with AzureMLEmulator("on-azure", models=[RegistryVersion("real", "1", "2026-01-01", weights=WEIGHTS)]) as emulator:
    emulator.place_compute("cluster", size="Standard_E16s_v3")
    azure = azft.FineTuneSession(
        azft.ModelSpec("real"), DATA, folder="of-azure", backend=azft.connect("azureml"), compute="cluster",
        **more(processes=2, num_nodes_finetune=2)
    )
    other, report = losses(azure)
print("losses", one, other)
print("tuned", expected.tuned.loss, report.tuned.loss)
"""


def test_a_loss_of_ones_own_on_two_machines(place: Path) -> None:
    """The example's script tunes the real model in four processes here, and in two on each of two machines."""
    (weights,) = (place / ".azft" / "weights").iterdir()
    data = place / "talks.jsonl"
    rows = [{"messages": _row("train_sft", number, blank=False)["messages"]} for number in range(40)]
    data.write_bytes(b"".join(orjson.dumps(row) + b"\n" for row in rows))
    code = f"import sys; sys.argv[1:] = {[str(weights), str(ROOT / 'examples/scripts/own_loss.py'), str(data)]!r}\n"
    said = run(place, code + CLUSTER)
    one, other = (
        [float(value) for value in part.split(",")]
        for part in re.search(r"losses \[(.*?)\] \[(.*?)\]", said).groups()  # type: ignore[union-attr]
    )
    assert len(one) == 3
    assert other == pytest.approx(one, rel=1e-4)
    here, there = map(float, re.search(r"tuned (\S+) (\S+)", said).groups())  # type: ignore[union-attr]
    assert there == pytest.approx(here, rel=1e-4)
