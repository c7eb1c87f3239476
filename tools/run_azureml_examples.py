"""Run notebooks of Microsoft's azureml-examples on the emulator, as they are published.

`python tools/run_azureml_examples.py CHECKOUT [PART OF A PATH …]` takes a checkout of azureml-examples and copies it,
so it stays as it is. What changes in a notebook: the three placeholders of the workspace get values, as Microsoft's
own tests do it, lines that install packages are dropped, and nothing else. A notebook has passed when every cell ran
and every job that it submitted completed. At the end comes the table of docs/azureml_examples.md.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import nbformat
from attrs import field, frozen
from azure.ai.ml import MLClient
from azure.ai.ml.entities import AmlCompute
from azure.identity import DefaultAzureCredential
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from azft.testing.emulator import AzureMLEmulator

COMMIT = "085cd6ea399038c1e07843acff811f34261c0887"
"""Of 2026-07-31: where these notebooks were run."""
CELL_WITHIN = 600
ENDED = {"Completed", "Failed", "Canceled"}
_INSTALLS = re.compile(r"^\s*[%!]\s*pip\b.*$", re.MULTILINE)


@frozen(kw_only=True)
class Example:
    """A notebook, what of the emulator it needs, and what of it is left out."""

    path: str
    needs: str
    skipped: Sequence[str] = field(factory=tuple)
    """Words of cells that are left out."""
    why_skipped: str = ""


PIPELINES = "sdk/python/jobs/pipelines"
ONLINE = "sdk/python/endpoints/online"
BATCH = "sdk/python/endpoints/batch"
EXAMPLES = (
    Example(path="sdk/python/assets/component/component.ipynb", needs="components, archived and restored"),
    Example(path="sdk/python/assets/environment/environment.ipynb", needs="environments: image, build context, conda"),
    Example(path="sdk/python/assets/model/model.ipynb", needs="models of files, folders and outputs; command jobs"),
    Example(path="sdk/python/schedules/job-schedule.ipynb", needs="schedules of a pipeline"),
    Example(
        path=f"{PIPELINES}/1a_pipeline_with_components_from_yaml/pipeline_with_components_from_yaml.ipynb",
        needs="a pipeline of command components",
    ),
    Example(
        path=f"{PIPELINES}/1e_pipeline_with_registered_components/pipeline_with_registered_components.ipynb",
        needs="components from functions, registered",
    ),
    Example(
        path=f"{PIPELINES}/1j_pipeline_with_pipeline_component/pipeline_with_train_eval_pipeline_component/"
        "pipeline_with_train_eval_pipeline_component.ipynb",
        needs="pipelines within pipelines",
    ),
    Example(
        path=f"{PIPELINES}/stepsequence/pipeline_with_step_sequence_dummy_dependencies.ipynb",
        needs="six pipelines within one, outputs that stay empty",
    ),
    Example(
        path="sdk/python/jobs/single-step/scikit-learn/train-hyperparameter-tune-deploy-with-sklearn/"
        "train-hyperparameter-tune-with-sklearn.ipynb",
        needs="a command job and its sweep; the best trial's model registered",
        skipped=("intelex", "sklearnex"),
        why_skipped="the notebook's second variant, with Intel's packages",
    ),
    Example(
        path=f"{ONLINE}/managed/online-endpoints-safe-rollout.ipynb", needs="two deployments with a scoring script"
    ),
    Example(path=f"{ONLINE}/managed/online-endpoints-multimodel.ipynb", needs="one scoring script, two models"),
    Example(
        path=f"{ONLINE}/mlflow/online-endpoints-deploy-mlflow-model-with-script.ipynb",
        needs="an MLflow model with a scoring script",
    ),
    Example(
        path=f"{ONLINE}/mlflow/online-endpoints-deploy-mlflow-model.ipynb", needs="an MLflow model without a script"
    ),
    Example(
        path=f"{BATCH}/deploy-pipelines/hello-batch/sdk-deploy-and-test.ipynb",
        needs="a batch endpoint of a pipeline component",
    ),
    Example(
        path=f"{BATCH}/deploy-pipelines/training-with-components/sdk-deploy-and-test.ipynb",
        needs="a batch endpoint that trains",
    ),
)


def main() -> None:
    """Run what was named, print a line for each, end with 1 where one did not pass."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("checkout", type=Path)
    parser.add_argument("parts", nargs="*")
    parser.add_argument("--keep", type=Path, help="a folder to work in that is left")
    told = parser.parse_args()
    chosen = [one for one in EXAMPLES if not told.parts or any(part in one.path for part in told.parts)]
    failed = 0
    rows = ["| notebook | needs | cells | seconds |", "| --- | --- | --- | --- |"]
    for example in chosen:
        began = time.perf_counter()
        with contextlib.ExitStack() as stack:
            scratch = (
                told.keep / Path(example.path).parent.name
                if told.keep
                else Path(stack.enter_context(tempfile.TemporaryDirectory()))
            )
            cells, why = run(example, told.checkout, scratch)
        failed += bool(why)
        said, took = "FAILED" if why else "passed", time.perf_counter() - began
        print(f"{said}  {cells:>7} cells  {took:5.0f} s  {example.path}", flush=True)
        if why:
            print(why, file=sys.stderr)
        else:
            rows.append(_row(example, cells, took))
    print("\n".join(["", *rows]))
    sys.exit(1 if failed else 0)


def _row(example: Example, cells: str, took: float) -> str:
    place = f"https://github.com/Azure/azureml-examples/blob/{COMMIT}/{example.path}"
    path = Path(example.path)
    left_out = f"; left out: {example.why_skipped}" if example.why_skipped else ""
    return f"| [{path.parent.name}/{path.stem}]({place}) | {example.needs}{left_out} | {cells} | {took:.0f} |"


def run(example: Example, checkout: Path, scratch: Path) -> tuple[str, str]:
    """Return how many cells ran of how many, and why it stopped, empty where it did not."""
    scratch.mkdir(parents=True, exist_ok=True)
    copy = scratch / "examples"
    shutil.copytree(checkout, copy, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    with AzureMLEmulator(scratch / "azure") as emulator:
        _prepare(emulator, copy)
        path = copy / example.path
        notebook = _readied(path, emulator, example.skipped)
        code = [cell for cell in notebook.cells if cell.cell_type == "code"]
        client = NotebookClient(
            notebook, timeout=CELL_WITHIN, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        )
        why = ""
        try:
            client.execute()
        except CellExecutionError as error:
            why = f"{error.ename}: {error.evalue}"
        why = why or _ended(emulator)
        done = sum(1 for cell in code if cell.execution_count and not _failed(cell))
        nbformat.write(notebook, scratch / "ran.ipynb")
        return f"{done}/{len(code)}", why


def _ended(emulator: AzureMLEmulator) -> str:
    """Wait for every job that the notebook left working, and return what did not complete."""
    client = _client(emulator)
    until = time.monotonic() + CELL_WITHIN
    while True:
        found = {str(job.name): str(getattr(job.status, "value", job.status)) for job in client.jobs.list()}
        working = [name for name, status in found.items() if status not in {"Completed", "Failed", "Canceled"}]
        if not working or time.monotonic() > until:
            wrong = [
                f"job {name}: {status}" for name, status in found.items() if status not in {"Completed", "Canceled"}
            ]
            return "\n".join(wrong)
        time.sleep(1)


def _client(emulator: AzureMLEmulator) -> MLClient:
    world = emulator.world
    return MLClient(DefaultAzureCredential(), world.subscription, world.group, world.workspace, enable_telemetry=False)


def _failed(cell: nbformat.NotebookNode) -> bool:
    return any(output.output_type == "error" for output in cell.outputs)


def _prepare(emulator: AzureMLEmulator, copy: Path) -> None:
    """Make the clusters that the notebooks take for granted, and the file that names the workspace."""
    world = emulator.world
    names = {
        "subscription_id": world.subscription,
        "resource_group": world.group,
        "workspace_name": world.workspace,
    }
    (copy / "config.json").write_text(json.dumps(names))
    client = _client(emulator)
    for name in ("cpu-cluster", "batch-cluster"):
        client.compute.begin_create_or_update(
            AmlCompute(name=name, size="Standard_DS3_v2", min_instances=0, max_instances=4)
        ).result()


def _readied(path: Path, emulator: AzureMLEmulator, skipped: Sequence[str]) -> nbformat.NotebookNode:
    notebook: nbformat.NotebookNode = nbformat.read(path, as_version=4)
    world = emulator.world
    values = {
        "<SUBSCRIPTION_ID>": world.subscription,
        "<RESOURCE_GROUP>": world.group,
        "<AML_WORKSPACE_NAME>": world.workspace,
        "<AZUREML_WORKSPACE_NAME>": world.workspace,
    }
    kept = []
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        cell.source = _INSTALLS.sub("", cell.source)
        for placeholder, value in values.items():
            cell.source = cell.source.replace(placeholder, value)
        if cell.source.strip() and not any(word in cell.source for word in skipped):
            kept.append(cell)
    notebook.cells = kept
    return notebook


if __name__ == "__main__":
    main()
