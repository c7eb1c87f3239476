"""What the notebook's calls and azft's cost on the wire: requests, and seconds with 50 ms added to every request.

Both walk from connecting to a deleted endpoint on the same emulator, with a job whose outcome is scripted; waiting for
the job (`jobs.stream`, `watch`) is left out of both. Files are prepared before.

    python -W ignore benchmarks/control_plane.py [--rounds 3]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import runpy
import shutil
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from attrs import define, field

from azft import DatasetPreparer, ModelSpec, PipelineBuilder, Resource
from azft.backends.azureml.backend import AzureMLBackend
from azft.discovery import load_plugins
from azft.domain.job import Job
from azft.flow.plan import Planner
from azft.plugins.catalogue import Catalogue
from azft.snapshot import sample_folder
from azft.testing.contract import SAMPLE
from azft.testing.emulator import AzureMLEmulator, Outcome

LATENCY = 0.05
AS_OF = "2024-05-10"
SIZE = "Standard_ND40rs_v2"
NOTEBOOK = Path(__file__).parents[1] / "tests" / "notebook_flow.py"


@define
class Meter:
    """Counts requests and seconds, but for those in `waiting`."""

    emulator: AzureMLEmulator
    begun: float = field(factory=time.perf_counter)
    seconds_left_out: float = 0.0
    left_out: list[int] = field(factory=list)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Leave the block out."""
        before, clock = len(self.emulator.requests), time.perf_counter()
        yield
        self.seconds_left_out += time.perf_counter() - clock
        self.left_out += range(before, len(self.emulator.requests))

    def read(self) -> tuple[float, Counter[str]]:
        """Return the seconds, and the requests by method and kind of path."""
        seconds = time.perf_counter() - self.begun - self.seconds_left_out
        skipped = set(self.left_out)
        counted = [request for number, request in enumerate(self.emulator.requests) if number not in skipped]
        return seconds, Counter(f"{request.method} {_kind(request.host, request.path)}" for request in counted)


def main() -> None:
    """Run both in turn and print the medians."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    rounds = options.parse_args().rounds
    measured: dict[str, list[tuple[float, Counter[str]]]] = {"notebook": [], "azft": []}
    one_round(azft, latency=0.0)  # imports, once for both
    one_round(notebook, latency=0.0)
    for _ in range(rounds):
        measured["notebook"].append(one_round(notebook))
        measured["azft"].append(one_round(azft))
    seconds = {name: statistics.median(found[0] for found in results) for name, results in measured.items()}
    requests = {name: statistics.median(found[1].total() for found in results) for name, results in measured.items()}
    for name, results in measured.items():
        print(f"{name:10} {seconds[name]:6.2f} s  {requests[name]:4.0f} requests")
        for kind, count in sorted(results[-1][1].items()):
            print(f"           {count:3} {kind}")
    print(f"azft / notebook: {seconds['azft'] / seconds['notebook']:.2f} of the time, ", end="")
    print(f"{requests['azft'] / requests['notebook']:.2f} of the requests")


def one_round(flow: Callable[[Meter, Path], None], latency: float = LATENCY) -> tuple[float, Counter[str]]:
    """Return what one walk took."""
    folder = Path(tempfile.mkdtemp())
    with AzureMLEmulator(folder / "azure", as_of=AS_OF, latency=latency) as emulator:
        emulator.script(Outcome(seconds=0), always=True)
        # What is heavy starts at the first question; both should meet it warm.
        emulator.mlflow.warm()
        meter = Meter(emulator)
        flow(meter, folder)
        found = meter.read()
    shutil.rmtree(folder)
    return found


def notebook(meter: Meter, folder: Path) -> None:
    """Walk as the notebook does."""
    from azure.ai.ml.operations import JobOperations

    world = meter.emulator.world
    config = {"subscription_id": world.subscription, "resource_group": world.group, "workspace_name": world.workspace}
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    stream = JobOperations.stream

    def left_out(self: Any, name: str) -> None:
        with meter.waiting():
            stream(self, name)

    home, arguments = Path.cwd(), sys.argv
    JobOperations.stream = left_out  # type: ignore[method-assign]
    os.chdir(folder)
    sys.argv = [str(NOTEBOOK), str(sample_folder())]
    try:
        meter.begun = time.perf_counter()
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            runpy.run_path(str(NOTEBOOK))
    finally:
        os.chdir(home)
        sys.argv = arguments
        JobOperations.stream = stream  # type: ignore[method-assign]


def azft(meter: Meter, folder: Path) -> None:
    """Walk with azft."""
    data = DatasetPreparer(folder / "data").prepare(SAMPLE)
    meter.begun = time.perf_counter()
    backend = AzureMLBackend(instance_type="Standard_NC24s_v3")
    if backend.find_compute("gpu-cluster-big") is None:
        backend.create_compute("gpu-cluster-big", SIZE, max_nodes=2)
    plugins = load_plugins()
    plan = Planner(backend, plugins).plan(
        ModelSpec("Phi-3-mini-4k-instruct"),
        SAMPLE,
        naming=Catalogue(plugins).naming_schemes.pick("tutorial"),
        compute="gpu-cluster-big",
    )
    # The notebook's model was retired in 2025; what is measured is the way, and not the model.
    job: Job = PipelineBuilder().build(plan, data, accept=["AZFT-M002"])
    run = backend.submit(job)
    with meter.waiting():
        list(backend.events(run))
    backend.result(run)
    model = backend.register(run, plan.model_name, {})
    endpoint = backend.deploy(model)
    backend.ask(endpoint, [{"role": "user", "content": "What is LoRA?"}], max_tokens=20)
    backend.delete(Resource("endpoint", endpoint.name, backend.name))


def _kind(host: str, path: str) -> str:
    parts = [part for part in path.split("/") if part]
    known = (
        "computes",
        "vmSizes",
        "usages",
        "datastores",
        "jobs",
        "models",
        "onlineEndpoints",
        "deployments",
        "mlflow",
    )
    named = [part for part in parts if part in known or part.endswith(("OperationsStatus", "components", "discovery"))]
    return "/".join([host.split(".")[-3] if host.count(".") > 1 else host, *named[-2:]])


if __name__ == "__main__":
    main()
