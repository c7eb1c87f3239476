"""Pipelines of command components and sweeps on the emulator, as azureml-examples write them, run for real."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any, ClassVar

import pytest
from azure.ai.ml import Input, MLClient, command, load_component
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.exceptions import JobException
from azure.ai.ml.sweep import BanditPolicy, Choice, Uniform
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError

from azft.testing.emulator import AzureMLEmulator, Outcome
from azft.testing.emulator.composed.early import BANDIT, MEDIAN, TRUNCATION, Policy, ends_early, policy_of
from azft.testing.emulator.wire import WireError
from tests.lasting import lasting_client, lasting_emulator
from tests.workspaces import CURATED

__all__ = ["lasting_client", "lasting_emulator"]
ENDED = ("Completed", "Failed", "Canceled")


Component = Callable[..., Any]


@pytest.fixture
def component(tmp_path: Path) -> Component:
    """Return a function that writes a component's file and loads it; its script is the text of a program."""

    def made(name: str, program: str, line: str, **fields: str) -> Any:
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        (folder / "run.py").write_text(dedent(program), encoding="utf-8")
        more = "".join(f"{key}:\n{_indented(text)}\n" for key, text in fields.items())
        (tmp_path / f"{name}.yml").write_text(
            "$schema: https://azuremlschemas.azureedge.net/latest/commandComponent.schema.json\n"
            f"name: {name}\nversion: 1\ntype: command\ncode: ./{name}\nenvironment: {CURATED}\n"
            f"command: >-\n  {line}\n{more}",
            encoding="utf-8",
        )
        return load_component(source=tmp_path / f"{name}.yml")

    return made


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in dedent(text).strip().splitlines())


def waited(client: MLClient, name: str, *, seconds: float = 90) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = client.jobs.get(name).status
        status = str(getattr(found, "value", found))
        if status in ENDED:
            return status
        time.sleep(0.2)
    raise AssertionError(f"{name} is {client.jobs.get(name).status} after {seconds} s")


@pytest.fixture
def steps(component: Component) -> tuple[Any, Any]:
    """Return a step that doubles the numbers of a file, and one that adds them up."""
    double = component(
        "double",
        """
        import sys
        from pathlib import Path
        numbers = [int(line) * int(sys.argv[3]) for line in Path(sys.argv[1]).read_text().split()]
        Path(sys.argv[2], "numbers.txt").write_text("\\n".join(map(str, numbers)))
        print("doubled", numbers, *sys.argv[4:])
        """,
        "python run.py ${{inputs.numbers}} ${{outputs.doubled}} ${{inputs.times}} $[[--note ${{inputs.note}}]]",
        inputs="""
        numbers: {type: uri_file}
        times: {type: integer, default: 2}
        note: {type: string, optional: true}
        """,
        outputs="doubled: {type: uri_folder}",
    )
    add = component(
        "add",
        """
        import sys
        from pathlib import Path
        total = sum(int(line) for line in Path(sys.argv[1], "numbers.txt").read_text().split())
        Path(sys.argv[2], "sum.txt").write_text(str(total))
        """,
        "python run.py ${{inputs.numbers}} ${{outputs.total}}",
        inputs="numbers: {type: uri_folder}",
        outputs="total: {type: uri_folder}",
    )
    return double, add


@pytest.fixture
def numbers(tmp_path: Path) -> Path:
    path = tmp_path / "numbers.txt"
    path.write_text("1\n2\n3\n", encoding="utf-8")
    return path


def of(make: Any, **inputs: Any) -> Any:
    dsl: Any = pipeline
    built = dsl(make)(**inputs)
    built.settings.default_compute = "cpu-cluster"
    return built


def test_steps_run_in_their_order_and_hand_on_what_they_made(
    client: MLClient, steps: tuple[Any, Any], numbers: Path, tmp_path: Path
) -> None:
    double, add = steps

    def sums(numbers: Input, times: int) -> dict[str, Any]:
        first = double(numbers=numbers, times=times)
        second = add(numbers=first.outputs.doubled)
        second.outputs.total.mode = "upload"
        return {"total": second.outputs.total}

    job = client.jobs.create_or_update(
        of(sums, numbers=Input(type="uri_file", path=str(numbers)), times=5), experiment_name="sums"
    )
    client.jobs.stream(job.name)
    assert client.jobs.get(job.name).status == "Completed"
    client.jobs.download(job.name, download_path=tmp_path / "got", output_name="total")
    assert (tmp_path / "got/named-outputs/total/sum.txt").read_text(encoding="utf-8") == "30"
    children = {child.display_name: child for child in client.jobs.list(parent_job_name=job.name)}
    assert list(children) == ["first", "second"]
    assert [child.status for child in children.values()] == ["Completed", "Completed"]
    assert children["first"].properties["azureml.moduleName"] == "double"
    client.jobs.download(children["first"].name, download_path=tmp_path / "step", all=True)
    logs = [path.read_text(encoding="utf-8") for path in (tmp_path / "step").rglob("std_log.txt")]
    # The optional part of the command is left out where its input is not given.
    assert logs == ["doubled [5, 10, 15]\n"]


def test_pipelines_hold_pipelines(client: MLClient, steps: tuple[Any, Any], numbers: Path, tmp_path: Path) -> None:
    double, add = steps

    def twice(numbers: Input) -> dict[str, Any]:
        made = double(numbers=numbers, note="inside")
        return {"doubled": made.outputs.doubled}

    inner: Any = pipeline(twice)

    def whole(numbers: Input) -> dict[str, Any]:
        one = inner(numbers=numbers)
        two = inner(numbers=numbers)
        left = add(numbers=one.outputs.doubled)
        right = add(numbers=two.outputs.doubled)
        return {"left": left.outputs.total, "right": right.outputs.total}

    job = client.jobs.create_or_update(of(whole, numbers=Input(type="uri_file", path=str(numbers))))
    assert waited(client, job.name) == "Completed"
    children = {child.display_name: child for child in client.jobs.list(parent_job_name=job.name)}
    assert sorted(children) == ["left", "one", "right", "two"]
    assert [child.display_name for child in client.jobs.list(parent_job_name=children["one"].name)] == ["made"]
    client.jobs.download(job.name, download_path=tmp_path / "got", all=True)
    assert [path.read_text(encoding="utf-8") for path in (tmp_path / "got").rglob("sum.txt")] == ["12", "12"]


def test_a_step_that_fails_ends_what_waits_for_it_and_says_why(client: MLClient, component: Component) -> None:
    fails = component("fails", "raise SystemExit('no data')", "python run.py", outputs="made: {type: uri_folder}")
    after = component(
        "after", "print(1)", "ls ${{inputs.made}}", inputs="made: {type: uri_folder}", outputs="x: {type: uri_folder}"
    )

    def broken() -> None:
        first = fails()
        after(made=first.outputs.made)

    job = client.jobs.create_or_update(of(broken))
    with pytest.raises(JobException, match="Failed nodes: /first"):
        client.jobs.stream(job.name)
    (child,) = client.jobs.list(parent_job_name=job.name)
    assert (child.display_name, child.status) == ("first", "Failed")


def test_a_pipeline_is_canceled(client: MLClient, component: Component) -> None:
    sleeps = component("sleeps", "import time; time.sleep(60)", "python run.py")

    def slow() -> None:
        sleeps()

    job = client.jobs.create_or_update(of(slow))
    while not list(client.jobs.list(parent_job_name=job.name)):
        time.sleep(0.1)
    client.jobs.begin_cancel(job.name)
    assert waited(client, job.name, seconds=20) == "Canceled"


def test_what_cannot_be_is_refused_before_anything_runs(
    client: MLClient, steps: tuple[Any, Any], numbers: Path, component: Component
) -> None:
    double, _add = steps

    def refused(job: Any, match: str) -> None:
        with pytest.raises(HttpResponseError, match=match):
            client.jobs.create_or_update(job, skip_validation=True)

    def lacking() -> None:
        double()

    refused(of(lacking), "required input double.numbers is missing")

    def good(numbers: Input) -> None:
        double(numbers=numbers)

    job = of(good, numbers=Input(type="uri_file", path=str(numbers)))
    job.settings.default_compute = "nowhere"
    with pytest.raises((HttpResponseError, ResourceNotFoundError), match="nowhere"):
        client.jobs.create_or_update(job, skip_validation=True)
    unknown = component("unknown", "print(1)", "python run.py")
    unknown.environment = "azureml://registries/azureml/environments/nothing/versions/1"

    def odd() -> None:
        unknown()

    refused(of(odd), "environment .* does not exist")


class TestComponents:
    def test_they_are_kept_by_version_archived_and_restored(
        self, client: MLClient, steps: tuple[Any, Any], component: Component
    ) -> None:
        double, _add = steps
        with pytest.raises(ResourceNotFoundError):
            client.components.get("double", version="1")
        made = client.components.create_or_update(double)
        assert (made.name, made.version, made.type) == ("double", "1", "command")
        assert client.components.create_or_update(double).id == made.id
        assert [one.version for one in client.components.list("double")] == ["1"]
        assert client.components.get("double", label="latest").version == "1"
        assert client.components.get("double").inputs["times"]["default"] == 2
        client.components.archive("double")
        assert "double" not in {one.name for one in client.components.list()}
        client.components.restore("double")
        assert "double" in {one.name for one in client.components.list()}
        other = component("double", "print(2)", "python run.py")
        with pytest.raises(HttpResponseError, match="is another one"):
            client.components.create_or_update(other)

    def test_a_kept_one_is_a_step(self, client: MLClient, steps: tuple[Any, Any], numbers: Path) -> None:
        _double, add = steps
        client.components.create_or_update(add)
        kept: Any = client.components.get("add", version="1")
        assert kept(numbers=Input(type="uri_folder", path=str(numbers.parent))).component.name == "add"


@pytest.fixture
def tried(component: Component) -> Any:
    return component(
        "tried",
        """
        import sys
        from pathlib import Path
        import mlflow
        rate, kind, model = float(sys.argv[1]), sys.argv[2], sys.argv[3]
        mlflow.log_metric("loss", (rate - 0.3) ** 2 + (kind == "bad"))
        Path(model, "rate.txt").write_text(f"{rate} {kind}")
        """,
        "python run.py ${{inputs.rate}} ${{inputs.kind}} ${{outputs.model}}",
        inputs="rate: {type: number, default: 1}\nkind: {type: string, default: good}",
        outputs="model: {type: uri_folder}",
    )


def test_a_sweep_tries_what_it_says_and_finds_the_best(client: MLClient, tmp_path: Path) -> None:
    (tmp_path / "try.py").write_text(
        "import sys, mlflow\nmlflow.log_metric('score', {'a': 1, 'b': 3, 'c': 2}[sys.argv[1]])\nprint(sys.argv[1])\n"
    )
    job = command(
        command="python try.py ${{inputs.letter}} ${{inputs.fixed}}",
        code=str(tmp_path / "try.py"),
        environment=CURATED,
        inputs={"letter": "a", "fixed": 1},
    )
    sweep = job(letter=Choice(["a", "b", "c"])).sweep(
        compute="cpu-cluster", sampling_algorithm="grid", primary_metric="score", goal="Maximize"
    )
    sweep.set_limits(max_total_trials=3, max_concurrent_trials=2, timeout=600)
    made = client.jobs.create_or_update(sweep)
    client.jobs.stream(made.name)
    found = client.jobs.get(made.name)
    assert found.status == "Completed"
    trials = {trial.name: trial for trial in client.jobs.list(parent_job_name=made.name)}
    assert len(trials) == 3
    best = trials[found.properties["best_child_run_id"]]
    client.jobs.download(best.name, download_path=tmp_path / "best", all=True)
    assert [path.read_text()[:2] for path in (tmp_path / "best").rglob("std_log.txt")] == ["b\n"]


def test_a_sweep_in_a_pipeline_hands_on_the_best(client: MLClient, tried: Any, tmp_path: Path) -> None:
    def search() -> dict[str, Any]:
        node = tried(rate=Uniform(0.1, 0.9), kind=Choice(["good", "bad"]))
        swept = node.sweep(compute="cpu-cluster", sampling_algorithm="random", primary_metric="loss", goal="minimize")
        swept.set_limits(max_total_trials=3, max_concurrent_trials=3, timeout=600)
        return {"model": swept.outputs.model}

    asked = of(search)
    asked.name = "hands-on-the-best"  # What is drawn follows from the name: of these three, not all are bad.
    job = client.jobs.create_or_update(asked)
    assert waited(client, job.name) == "Completed"
    client.jobs.download(job.name, download_path=tmp_path / "got", output_name="model")
    (found,) = (tmp_path / "got").rglob("rate.txt")
    assert found.read_text().endswith("good")


class TestEarlyTermination:
    """Policies as azureml.train.hyperdrive's reference words them; each time the metric is logged is an interval."""

    # MLflow keeps what is infinite as the largest number, which is not the best of a metric that is maximised.
    @pytest.mark.parametrize(("node", "bad"), [(False, "0.5"), (True, "float('inf')")])
    def test_what_is_worse_ends_before_its_time(
        self, client: MLClient, component: Component, tmp_path: Path, node: bool, bad: str
    ) -> None:
        lines = f"""
        import sys, time, mlflow
        quality = {{"good": 0.8, "bad": {bad}}}[sys.argv[1]]
        for step in range(4):
            mlflow.log_metric("auc", quality, step=step)
        for _ in range(0 if sys.argv[1] == "good" else 3000):
            time.sleep(0.1)
        print("done")
        """
        made = component("judged", lines, "python run.py ${{inputs.kind}}", inputs="kind: {type: string}")
        how: dict[str, Any] = {
            "compute": "cpu-cluster",
            "sampling_algorithm": "grid",
            "primary_metric": "auc",
            "goal": "Maximize",
        }

        def swept() -> Any:
            found = made(kind=Choice(["good", "bad"])).sweep(**how)
            found.set_limits(max_total_trials=2, max_concurrent_trials=2, timeout=600)
            # 0.5 is less than 0.8 / (1 + 0.2).
            found.early_termination = BanditPolicy(slack_factor=0.2, evaluation_interval=2, delay_evaluation=2)
            return found

        def search() -> None:
            swept()

        if node:
            name = client.jobs.create_or_update(of(search)).name
        else:
            (tmp_path / "run.py").write_text(dedent(lines))
            job = command(command="python run.py ${{inputs.kind}}", code=str(tmp_path), environment=CURATED,
                          inputs={"kind": "good"})  # fmt: skip
            alone = job(kind=Choice(["good", "bad"])).sweep(**how)
            alone.set_limits(max_total_trials=2, max_concurrent_trials=2, timeout=600)
            alone.early_termination = swept().early_termination
            name = client.jobs.create_or_update(alone).name
        assert waited(client, name) == "Completed"
        parent = name if not node else next(iter(client.jobs.list(parent_job_name=name))).name
        statuses = sorted(str(trial.status) for trial in client.jobs.list(parent_job_name=parent))
        assert statuses == ["Canceled", "Completed"]

    TOLD: ClassVar = {
        "a": [0.50, 0.80, 0.81],
        "b": [0.50, 0.60],
        "c": [0.50, 0.70],
        "d": [0.10, 0.65, 0.66, 0.67],
        "e": [0.75],
        "f": [],
    }

    @pytest.mark.parametrize(
        ("policy", "ended"),
        [
            # b at 2: 0.60 < 0.80 / 1.2; d at 4: nobody else is as old; e at 1: 0.75 is the best so far.
            (Policy(BANDIT, factor=0.2), "b"),
            (Policy(BANDIT, factor=0.2, delay=3), ""),
            (Policy(BANDIT, amount=0.05, every=2), "bc"),
            # Running averages until 2: a 0.65, b 0.55, c 0.60, d 0.375, e 0.75; their median is 0.60.
            (Policy(MEDIAN, every=2), ""),
            (Policy(TRUNCATION, every=2, percent=30), "b"),
            (Policy(TRUNCATION, every=2, percent=50), "b"),
            (Policy(TRUNCATION, percent=20), ""),
        ],
    )
    def test_by_each_policy(self, policy: Policy, ended: str) -> None:
        found = [name for name in self.TOLD if ends_early(policy, name, self.TOLD, "maximize")]
        assert "".join(found) == ended
        turned = {name: [-value for value in values] for name, values in self.TOLD.items()}
        assert [name for name in turned if ends_early(policy, name, turned, "minimize")] == found

    def test_a_loss_may_be_a_fifth_higher_than_the_least(self) -> None:
        told = {"a": [0.30], "b": [0.35], "c": [0.37]}
        assert [name for name in told if ends_early(Policy(BANDIT, factor=0.2), name, told, "minimize")] == ["c"]

    def test_the_worst_of_a_median_ends(self) -> None:
        told = {"a": [0.5, 0.9], "b": [0.5, 0.8], "c": [0.1, 0.2]}
        assert [name for name in told if ends_early(Policy(MEDIAN), name, told, "maximize")] == ["c"]

    @pytest.mark.parametrize("value", [math.nan, math.inf])
    def test_what_is_no_number_is_the_worst(self, value: float) -> None:
        unmeasured = {"a": [0.5], "b": [value]}
        assert [
            name for name in unmeasured if ends_early(Policy(BANDIT, amount=1.0), name, unmeasured, "maximize")
        ] == ["b"]

    @pytest.mark.parametrize(
        ("policy", "said"),
        [
            ({"policyType": "Bandit"}, "either 'slackFactor' or 'slackAmount'"),
            ({"policyType": "Bandit", "slackFactor": 0.1, "slackAmount": 0.1}, "either"),
            ({"policyType": "Bandit", "slackFactor": "x"}, "slackFactor is x"),
            ({"policyType": "TruncationSelection", "truncationPercentage": 100}, "expected 1 to 99"),
            ({"policyType": "MedianStopping", "delayEvaluation": -1}, "0 or more"),
            ({"policyType": "Other"}, "not emulated"),
        ],
    )
    def test_a_policy_that_cannot_be_is_refused(self, policy: dict[str, Any], said: str) -> None:
        with pytest.raises(WireError, match=said):
            policy_of({"early_termination": policy})


def test_a_sweep_that_cannot_be_is_refused(client: MLClient) -> None:
    job = command(command="echo ${{inputs.x}}", environment=CURATED, inputs={"x": 1.0})

    def swept(**more: Any) -> Any:
        found = job(x=Uniform(0.0, 1.0)).sweep(
            compute="cpu-cluster",
            sampling_algorithm=more.get("algorithm", "random"),
            primary_metric="loss",
            goal="Minimize",
        )
        found.set_limits(max_total_trials=more.get("trials", 2), max_concurrent_trials=1)
        return found

    for more, said in (
        ({"algorithm": "grid"}, "a grid takes choices alone"),
        ({"trials": 500}, "expected 1 to 100 here"),
    ):
        with pytest.raises(HttpResponseError, match=said):
            client.jobs.create_or_update(swept(**more))


def test_a_script_ends_a_pipeline_as_it_says(
    emulator: AzureMLEmulator, client: MLClient, steps: Any, numbers: Path
) -> None:
    emulator.script(Outcome("failed", error="the disk is full", seconds=0))

    def one(numbers: Input) -> None:
        steps[0](numbers=numbers)

    job = client.jobs.create_or_update(of(one, numbers=Input(type="uri_file", path=str(numbers))), skip_validation=True)
    assert waited(client, job.name) == "Failed"
