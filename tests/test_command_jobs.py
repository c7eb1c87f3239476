"""Command jobs on the emulator, sent by the unmodified SDK as its examples send them, and run for real."""

from __future__ import annotations

import importlib.util
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import mlflow
import psutil
import pytest
from azure.ai.ml import Input, MLClient, Output, PyTorchDistribution, command
from azure.ai.ml.entities import Data, Environment
from azure.ai.ml.exceptions import JobException
from azure.core.exceptions import HttpResponseError
from azure.identity import DefaultAzureCredential

from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.scripts import EVICTED
from tests.lasting import lasting_client, lasting_emulator

__all__ = ["lasting_client", "lasting_emulator"]
CURATED = "azureml://registries/azureml/environments/acft-hf-nlp-gpu/labels/latest"
ENDED = ("Completed", "Failed", "Canceled")


@pytest.fixture
def code(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes files of code, by name, into a folder of their own."""

    def written(**files: str) -> Path:
        folder = tmp_path / "src"
        folder.mkdir(exist_ok=True)
        for name, text in files.items():
            (folder / f"{name}.py").write_text(dedent(text))
        return folder

    return written


def submitted(client: MLClient, line: str, **more: Any) -> str:
    job = command(command=line, environment=more.pop("environment", CURATED), compute="cpu-cluster", **more)
    return str(client.jobs.create_or_update(job).name)


def status(client: MLClient, name: str) -> str:
    found: str = client.jobs.get(name).status
    return str(getattr(found, "value", found))


def until(client: MLClient, name: str, *wanted: str, seconds: float = 60) -> str:
    deadline = time.monotonic() + seconds
    while (found := status(client, name)) not in wanted:
        assert time.monotonic() < deadline, f"{name} is {found}, and not {wanted}: {log(client, name)}"
        time.sleep(0.1)
    return found


def log(client: MLClient, name: str, file: str = "std_log.txt") -> str:
    folder = Path(f"logs-{name}")
    client.jobs.download(name, download_path=folder, all=True)
    path = folder / "artifacts" / "user_logs" / file
    return path.read_text() if path.exists() else ""


def failure(client: MLClient, name: str) -> str:
    """Return why a job failed, as the SDK's own stream says it."""
    with pytest.raises(JobException) as caught:
        client.jobs.stream(name)
    return str(caught.value)


# Five scripts, written as azureml-examples writes command jobs.


def test_a_single_step(client: MLClient, code: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "iris.csv").write_text("a,b\n1,2\n3,4\n")
    source = code(
        main="""
        import argparse
        parser = argparse.ArgumentParser()
        parser.add_argument("--iris-csv")
        parser.add_argument("--learning-rate", type=float)
        args = parser.parse_args()
        print("rows:", len(open(args.iris_csv).readlines()) - 1, "rate:", args.learning_rate)
        """
    )
    name = submitted(
        client,
        "python main.py --iris-csv ${{inputs.iris_csv}} --learning-rate ${{inputs.learning_rate}}",
        code=str(source),
        inputs={"iris_csv": Input(type="uri_file", path=str(tmp_path / "iris.csv")), "learning_rate": 0.9},
        environment="AzureML-sklearn-1.5@latest",
        display_name="sklearn-iris-example",
        description="a single step",
    )
    client.jobs.stream(name)
    assert status(client, name) == "Completed"
    assert "rows: 2 rate: 0.9" in log(client, name)


def test_inputs_and_outputs_of_each_mode(client: MLClient, code: Callable[..., Path], tmp_path: Path) -> None:
    folder = tmp_path / "given"
    folder.mkdir()
    (folder / "a.txt").write_text("alpha")
    data = client.data.create_or_update(Data(name="letters", version="3", path=str(folder), type="uri_folder"))
    source = code(
        copy="""
        import os, pathlib, sys
        mounted, downloaded, direct, written, uploaded = sys.argv[1:]
        print("direct:", direct)
        print("mounted:", os.listdir(mounted), "downloaded:", pathlib.Path(downloaded).read_text())
        pathlib.Path(written, "deep").mkdir()
        pathlib.Path(written, "deep", "b.txt").write_text("beta")
        pathlib.Path(uploaded).write_text("gamma")
        pathlib.Path(mounted, "a.txt").write_text("changed")
        pathlib.Path("outputs", "c.txt").write_text("magic")
        """
    )
    line = (
        "python copy.py ${{inputs.mounted}} ${{inputs.downloaded}} ${{inputs.direct}} ${{outputs.written}} "
        "${{outputs.uploaded}}"
    )
    source.joinpath("copy.py").rename(source / "job.py")
    name = submitted(
        client,
        line.replace("copy.py", "job.py"),
        code=str(source),
        inputs={
            "mounted": Input(type="uri_folder", path="azureml:letters:3", mode="ro_mount"),
            "downloaded": Input(type="uri_file", path=str(folder / "a.txt"), mode="download"),
            "direct": Input(type="uri_file", path=f"{data.path}a.txt", mode="direct"),
        },
        outputs={
            "written": Output(
                type="uri_folder", path="azureml://datastores/workspaceblobstore/paths/mine/", mode="rw_mount"
            ),
            "uploaded": Output(type="uri_file", mode="upload"),
        },
    )
    client.jobs.stream(name)
    said = log(client, name)
    assert "direct: azureml://" in said
    assert "mounted: ['a.txt'] downloaded: alpha" in said
    found = {path.name: path.read_text() for path in Path(f"logs-{name}").rglob("*") if path.is_file()}
    assert (found["b.txt"], found["c.txt"]) == ("beta", "magic")
    assert "gamma" in found.values()
    # What it wrote into an input is nobody else's business.
    again = submitted(client, "cat ${{inputs.in}}/a.txt", inputs={"in": Input(type="uri_folder", path=data.path)})
    client.jobs.stream(again)
    assert log(client, again) == "alpha"
    # An output of one job is an input of the next.
    following = submitted(
        client,
        "cat ${{inputs.before}}/deep/b.txt",
        inputs={"before": Input(type="uri_folder", path=f"azureml://jobs/{name}/outputs/written")},
    )
    client.jobs.stream(following)
    assert log(client, following) == "beta"


def test_distributed_pytorch_on_two_nodes(client: MLClient, code: Callable[..., Path]) -> None:
    source = code(
        train="""
        import os, torch, torch.distributed as dist
        dist.init_process_group("gloo")
        rank, world = dist.get_rank(), dist.get_world_size()
        total = torch.tensor([float(rank)])
        dist.all_reduce(total)
        local, node = os.environ["LOCAL_RANK"], os.environ["NODE_RANK"]
        print(f"rank {rank} of {world}, local {local}, node {node}: {total.item()}")
        dist.destroy_process_group()
        """
    )
    name = submitted(
        client,
        "python train.py",
        code=str(source),
        instance_count=2,
        distribution=PyTorchDistribution(process_count_per_instance=2),
        shm_size="1g",
    )
    until(client, name, *ENDED, seconds=120)
    said = [log(client, name, f"std_log_process_{rank:02d}.txt") for rank in range(4)]
    assert [text.strip().splitlines()[-1] for text in said] == [
        "rank 0 of 4, local 0, node 0: 6.0",
        "rank 1 of 4, local 1, node 0: 6.0",
        "rank 2 of 4, local 0, node 1: 6.0",
        "rank 3 of 4, local 1, node 1: 6.0",
    ]


def test_mlflow_logs_to_the_run_that_is_the_job(client: MLClient, code: Callable[..., Path]) -> None:
    source = code(
        logs="""
        import mlflow
        with mlflow.start_run() as run:
            mlflow.log_param("epochs", 2)
            for step in range(3):
                mlflow.log_metric("loss", 1 / (step + 1), step=step)
        print("run", run.info.run_id)
        """
    )
    name = submitted(client, "python logs.py", code=str(source), experiment_name="logging")
    client.jobs.stream(name)
    assert f"run {name}" in log(client, name)
    mlflow.set_tracking_uri(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
    run = mlflow.get_run(name)
    history = mlflow.MlflowClient().get_metric_history(name, "loss")
    assert (run.info.status, run.data.params["epochs"]) == ("FINISHED", "2")
    assert [(point.step, round(point.value, 3)) for point in history] == [(0, 1.0), (1, 0.5), (2, 0.333)]


def test_processes_of_one_machine_leave_each_other_the_cores(client: MLClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenMP's threads look for work this often before they sleep; its own default is hundreds of thousands."""
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    name = submitted(client, "echo spins $GOMP_SPINCOUNT")
    client.jobs.stream(name)
    assert "spins 2000" in log(client, name)
    own = submitted(client, "echo spins $GOMP_SPINCOUNT.", environment_variables={"OMP_WAIT_POLICY": "active"})
    client.jobs.stream(own)
    assert "spins ." in log(client, own)


def test_a_jobs_tags_are_its_runs(client: MLClient, code: Callable[..., Path]) -> None:
    """A job that was fetched, changed and sent again goes to run history, which merges (azure-ai-ml 1.35, jobs.update).

    The MLflow run is the job: what the one is tagged with, so is the other.
    """
    source = code(tagged="import mlflow; mlflow.set_tags({'by': 'mlflow', 'gone': '1'})")
    name = submitted(client, "python tagged.py", code=str(source), tags={"by": "sdk"})
    client.jobs.stream(name)
    made = client.jobs.get(name)
    assert made.tags == {"by": "mlflow", "gone": "1"}
    made.tags["later"], made.display_name, made.description = "sdk", "renamed", "described"
    client.jobs.create_or_update(made)
    again = client.jobs.get(made.name)
    assert (again.tags["later"], again.display_name, again.description) == ("sdk", "renamed", "described")
    tracked = mlflow.MlflowClient(client.workspaces.get(client.workspace_name).mlflow_tracking_uri)
    run = tracked.get_run(made.name)
    assert (run.data.tags["later"], run.data.tags["by"], run.info.run_name) == ("sdk", "mlflow", "renamed")
    tracked.delete_tag(made.name, "gone")
    assert client.jobs.get(made.name).tags == {"by": "mlflow", "later": "sdk"}
    assert tracked.get_run(made.name).info.end_time == run.info.end_time
    with pytest.raises(HttpResponseError, match="50"):
        client.jobs.update(made.name, tags={f"tag{number}": "x" for number in range(60)})


@pytest.mark.slow
def test_an_environment_from_an_image_and_a_conda_file(
    client: MLClient, code: Callable[..., Path], tmp_path: Path
) -> None:
    conda = tmp_path / "conda.yml"
    conda.write_text("name: mine\nchannels: [conda-forge]\ndependencies:\n  - python=3.12\n  - pip: [azureml-mlflow]\n")
    environment = Environment(
        name="mine", image="mcr.microsoft.com/azureml/openmpi5.0-cuda12.8-ubuntu24.04", conda_file=str(conda)
    )
    made = client.environments.create_or_update(environment)
    source = code(hello="print('hello')")
    for given in (environment, f"{made.name}:{made.version}", "mine@latest"):
        name = submitted(client, "python hello.py", code=str(source), environment=given)
        client.jobs.stream(name)
        assert log(client, name) == "hello\n"
    assert client.environments.get("mine", label="latest").version == made.version


# What goes wrong.


def test_code_is_uploaded_once(client: MLClient, emulator: AzureMLEmulator, code: Callable[..., Path]) -> None:
    source = code(once="print('once')")
    uploads: list[int] = []
    for _time in range(2):
        before = len(emulator.requests)
        until(client, submitted(client, "python once.py", code=str(source)), *ENDED)
        made = [one for one in emulator.requests[before:] if one.method == "PUT" and "/codes/" in one.path]
        uploads.append(len(made))
    assert uploads[0] > 0
    assert uploads[1] == 0


def test_a_program_that_fails_says_where_and_why(client: MLClient, code: Callable[..., Path]) -> None:
    source = code(fails="print('before')\nraise ValueError('no such row')")
    said = failure(client, submitted(client, "python fails.py", code=str(source)))
    assert "Execution failed. User process 'python' exited with status code 1" in said
    assert "user_logs/std_log.txt" in said
    assert "ValueError: no such row" in said


def test_one_rank_that_fails_ends_the_others(client: MLClient, code: Callable[..., Path]) -> None:
    source = code(
        one="""
        import os, sys, time
        if os.environ["RANK"] == "1":
            sys.exit("rank 1 gives up")
        time.sleep(600)
        """
    )
    distribution = PyTorchDistribution(process_count_per_instance=2)
    name = submitted(client, "python one.py", code=str(source), distribution=distribution)
    assert until(client, name, *ENDED) == "Failed"
    assert "std_log_process_01.txt" in failure(client, name)


def test_braces_of_an_f_string_are_no_input(client: MLClient) -> None:
    name = submitted(client, "echo ${inputs.rate} ${{inputs.rate}}", inputs={"rate": 0.1})
    until(client, name, *ENDED)
    # The SDK makes "$${{inputs.rate}}" of it, which leaves a "$" before what is put in.
    assert log(client, name).split()[1:] == ["0.1"]
    assert log(client, name).split()[0] != "0.1"


def test_a_job_that_is_canceled_leaves_no_process(client: MLClient, code: Callable[..., Path]) -> None:
    source = code(
        sleeps="""
        import subprocess, sys
        subprocess.run([sys.executable, "-c", "import time; time.sleep(601)"])
        """
    )
    name = submitted(client, "python sleeps.py", code=str(source))
    until(client, name, "Running")
    deadline = time.monotonic() + 30
    while not sleeping():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    client.jobs.begin_cancel(name).result()
    assert until(client, name, *ENDED) == "Canceled"
    assert not sleeping()


def sleeping() -> list[int]:
    lines = ((process.pid, process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"]))
    return [pid for pid, line in lines if "import time; time.sleep(601)" in line]


def test_a_time_limit_cancels(client: MLClient) -> None:
    job = command(command="sleep 600", environment=CURATED, compute="cpu-cluster", timeout=1)
    name = str(client.jobs.create_or_update(job).name)
    assert until(client, name, *ENDED) == "Canceled"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"environment": "azureml:nobody-has-this:4"}, "nobody-has-this"),
        ({"inputs": {"a": Input(type="uri_folder", path="azureml:nothing:1")}}, "nothing"),
        ({"inputs": {"a": Input(type="uri_file", path="https://example.com/a.csv")}}, r"provide\("),
        ({"inputs": {"a": Input(type="mlflow_model", path="azureml://registries/azureml/models/Phi-4/versions/8")}},
         "the weights of"),
    ],
)  # fmt: skip
def test_what_does_not_exist_is_refused(client: MLClient, more: dict[str, Any], said: str) -> None:
    with pytest.raises(Exception, match=said):
        submitted(client, "true", **more)


def test_a_machine_that_does_not_exist_is_refused(client: MLClient) -> None:
    with pytest.raises(HttpResponseError, match="no-such-cluster"):
        client.jobs.create_or_update(command(command="true", environment=CURATED, compute="no-such-cluster"))


RESUMES = """
import os, pathlib, sys, time
checkpoints, folder = pathlib.Path(sys.argv[1]), pathlib.Path("outputs")
begin = max([int(path.name) for path in checkpoints.iterdir()], default=-1) + 1
print("from", begin, "with", sorted(os.listdir(folder)), flush=True)
for step in range(begin, 12):
    (folder / "mine").write_text(str(step))
    (checkpoints / str(step)).write_text("sealed")
    time.sleep(0.4)
"""


@pytest.mark.parametrize("restart", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_machines_that_are_taken_away(
    client: MLClient, emulator: AzureMLEmulator, code: Callable[..., Path], *, restart: bool
) -> None:
    where = f"azureml://datastores/workspaceblobstore/paths/checkpoints/{restart}"
    line = "python resumes.py ${{outputs.checkpoints}}"
    how: dict[str, Any] = {"code": str(code(resumes=RESUMES)), "outputs": {"checkpoints": Output(path=where)}}
    name = submitted(client, line, **how)
    until(client, name, "Running")
    deadline = time.monotonic() + 30
    while not emulator.world.blobs.names("azureml-blobstore-emulated", f"checkpoints/{restart}/2"):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    emulator.preempt(name, restart=restart)
    if not restart:
        assert until(client, name, *ENDED) == "Failed"
        assert EVICTED[:60] in failure(client, name)
        # Somebody sends it again, and it goes on from what lies in the storage.
        name = submitted(client, line, **how)
    assert until(client, name, *ENDED) == "Completed"
    lines = log(client, name).splitlines()
    assert len(lines) == (2 if restart else 1)
    # What the run itself put out did not come back, what was mounted did.
    assert int(lines[-1].split()[1]) >= 3
    assert lines[-1].endswith("with []")


def test_an_outcome_may_be_scripted(client: MLClient, emulator: AzureMLEmulator) -> None:
    emulator.script(Outcome("failed", error="no room on this node", seconds=0))
    assert "no room on this node" in failure(client, submitted(client, "true"))


@pytest.mark.slow
def test_a_job_goes_on_without_the_emulator(tmp_path: Path, code: Callable[..., Path]) -> None:
    source = code(slow="import time\ntime.sleep(3)\nprint('done')")
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")

    def connected(emulator: AzureMLEmulator) -> MLClient:
        found = emulator.environment()
        return MLClient(DefaultAzureCredential(), *(found[name] for name in names), enable_telemetry=False)

    with AzureMLEmulator(tmp_path / "kept") as first:
        job = command(command="python slow.py", code=str(source), environment=CURATED)
        name = str(connected(first).jobs.create_or_update(job).name)
    with AzureMLEmulator(tmp_path / "kept") as second:
        client = connected(second)
        assert until(client, name, *ENDED) == "Completed"
        assert log(client, name) == "done\n"


def test_what_a_command_installs_is_its_jobs_own(client: MLClient, tmp_path: Path) -> None:
    code = tmp_path / "code"
    code.mkdir()
    about = "azft_tiny-1.0.dist-info"
    with zipfile.ZipFile(code / "azft_tiny-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("azft_tiny.py", "SAID = 'installed'\n")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: azft_tiny\nVersion: 1.0\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    install = "python -m pip install --no-index --no-deps azft_tiny-1.0-py3-none-any.whl"
    line = f"{install} && python -c 'import azft_tiny; print(azft_tiny.SAID)' > ${{{{outputs.said}}}}/a"
    name = submitted(client, line, code=str(code), outputs={"said": Output(type="uri_folder")})
    assert until(client, name, *ENDED) == "Completed"
    client.jobs.download(name, download_path=tmp_path, output_name="said")
    assert (tmp_path / "named-outputs" / "said" / "a").read_text(encoding="utf-8") == "installed\n"
    assert importlib.util.find_spec("azft_tiny") is None


def test_curated_environments_are_those_that_microsoft_publishes(client: MLClient) -> None:
    curated = "azureml://registries/azureml/environments/{}/labels/latest"
    assert submitted(client, "true", environment=curated.format("mldesigner-minimal"))
    assert submitted(client, "true", environment="AzureML-sklearn-1.5@latest")
    with pytest.raises(HttpResponseError, match="lightgbm"):
        submitted(client, "true", environment=curated.format("lightgbm-3.2-ubuntu18.04-py37-cpu"))
