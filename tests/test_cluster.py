"""azft's engine and scripts as command jobs: the same weights as here, on machines that may be taken away."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest
from attrs import evolve
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

import azft
from azft import DatasetSpec, FineTuneSession, ModelSpec, RunFailedError, Script
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.commands import PARTS, command_line, lay_out_code
from azft.backends.azureml.environments import NAME, environment_of, version_of
from azft.backends.azureml.launching import Launching, command_findings, time_limits
from azft.domain.compute import Compute
from azft.domain.parameters import ParameterValue
from azft.domain.run import RunEvent
from azft.domain.trainers import ENGINE, Trainer
from azft.errors import ConfigurationError, UnsupportedError
from azft.snapshot import RegistryVersion, job_environment
from azft.testing.emulator import AzureMLEmulator
from azft.testing.emulator.services.registries import as_of_day
from azft.testing.emulator.world import CONTAINER
from tests.sampling import WHOLE, sampled
from tests.small_runs import replaced, sums
from tests.test_local_backend import own_model
from tests.test_scripts import SCRIPTS, STEPS, script

CLUSTER, SIZE = "cpu-cluster", "Standard_DS3_v2"
TWO_BY_TWO: dict[str, ParameterValue] = {"num_nodes_finetune": 2, "processes": 2}
LONG: dict[str, ParameterValue] = {"evaluation_strategy": "steps", "eval_steps": 1, "num_train_epochs": 16}
"""Long enough to be disturbed, with a checkpoint behind each step."""
ROOT = Path(__file__).parents[1]
Made = Callable[..., FineTuneSession]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return replaced(own_model(tmp_path_factory.mktemp("model") / "weights"), "llama")


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory, weights: Path) -> Iterator[AzureMLEmulator]:
    known = [RegistryVersion(name, "1", "2026-01-01", weights=str(weights)) for name in ("mine",)]
    with AzureMLEmulator(tmp_path_factory.mktemp("azure"), models=known) as started:
        started.place_compute(CLUSTER, size=SIZE)
        yield started


@pytest.fixture
def session(azure: AzureMLEmulator, tmp_path: Path) -> Made:
    """Return a function that makes sessions on the emulated cluster."""

    def made(trainer: Any = "azft", *, connected: Any = None, **parameters: ParameterValue) -> FineTuneSession:
        backend = connected or AzureMLBackend(poll=0.1, instance_type=SIZE)
        return FineTuneSession(
            ModelSpec("mine"),
            str(sums(tmp_path)),
            backend=backend,
            compute=CLUSTER,
            parameters={**STEPS, **parameters},
            trainer=trainer,
            folder=tmp_path / "azure-home",
            progress=False,
        )

    return made


@pytest.fixture
def here(weights: Path, tmp_path: Path) -> Made:
    """Return a function that makes the same sessions on this machine."""

    def made(trainer: Any = "azft", **parameters: ParameterValue) -> FineTuneSession:
        return FineTuneSession(
            ModelSpec("mine", weights=str(weights)),
            str(sums(tmp_path)),
            parameters={**STEPS, **parameters},
            trainer=trainer,
            folder=tmp_path / "home",
            progress=False,
        )

    return made


def heard(session: FineTuneSession, run: azft.Run) -> list[RunEvent]:
    return list(session.backend.events(run, poll=0.1))


def losses(events: list[RunEvent]) -> list[float]:
    return [event.values["loss"] for event in events if event.kind == "progress" and "loss" in event.values]


def tuned(azure: AzureMLEmulator, job: str) -> bytes:
    """Return the weights that a job has left in the store."""
    (name,) = (
        name
        for name in azure.world.blobs.names(CONTAINER, f"azureml/{job}/trained_model/")
        if name.endswith(".safetensors")
    )
    return azure.world.blobs.path(CONTAINER, name).read_bytes()


def checkpoints(azure: AzureMLEmulator, run: azft.Run) -> list[str]:
    return azure.world.blobs.names(CONTAINER, f"azft/checkpoints/{run.id}/")


def test_one_process_makes_what_it_makes_here(azure: AzureMLEmulator, session: Made, here: Made) -> None:
    one, other = session(), here()
    plan = one.plan()
    assert not plan.errors
    assert {finding.code for finding in plan.findings} == {"AZFT-P101", "AZFT-T002"}
    run, reference = one.submit(plan), other.submit()
    told = heard(one, run)
    assert losses(told) == losses(heard(other, reference))
    assert [(event.stage, event.message) for event in told if event.kind == "stage"] == [
        (stage, said)
        for stage in ("import", "preprocess", "finetune", "evaluate", "export")
        for said in ("started", "done")
    ]
    report, expected = one.evaluate(run), other.evaluate(reference)
    assert (report.base, report.tuned, report.answers) == (expected.base, expected.tuned, expected.answers)
    assert one.backend.result(run).metrics["tuned_loss"] == report.tuned.loss
    # The image is there by now, and a plan of the same finds the run.
    assert "AZFT-T002" not in {finding.code for finding in one.plan().findings}
    assert one.submit().id == run.id
    model = one.register(run)
    deployed = one.deploy(model)
    question = "20 plus one plus one"
    with other.deploy(other.register(reference)) as local:
        assert deployed.ask(question, max_tokens=4) == local.ask(question, max_tokens=4)
    assert checkpoints(azure, run) == []
    one.cleanup(everything=True)
    assert not one.leftovers()
    assert not azure.refused


@pytest.mark.slow
def test_two_machines_with_two_processes_make_what_four_make_here(
    azure: AzureMLEmulator, session: Made, here: Made
) -> None:
    one, other = session(**TWO_BY_TWO), here(processes=4)
    run, reference = one.submit(), other.submit()
    assert losses(heard(one, run)) == losses(heard(other, reference))
    assert one.evaluate(run).tuned == other.evaluate(reference).tuned
    assert one.evaluate(run).base == other.evaluate(reference).base


def test_a_taken_machine_costs_nothing(azure: AzureMLEmulator, session: Made, tmp_path: Path) -> None:
    """Preempted once behind its first checkpoint; the undisturbed run has the same weights, to the byte."""
    still = session(**LONG)
    undisturbed = still.submit()
    heard(still, undisturbed)
    expected = tuned(azure, undisturbed.id)
    still.cleanup(everything=True)
    moved = session(**LONG)
    run = moved.submit(again=True)
    assert run.id != undisturbed.id
    told = []
    taken = False
    for event in moved.backend.events(run, poll=0.1):
        told.append(event)
        if not taken and checkpoints(azure, run):
            azure.preempt(run.id, restart=False)
            taken = True
    again = f"{run.id}-again-1"
    said = [event.message for event in told if event.kind == "warning" and "taken away" in event.message]
    assert said == [
        f"its machines were taken away (1 of at most 3 times); submitted again as {again}, "
        "it goes on from its last checkpoint"
    ]
    assert [event.message for event in told if event.kind == "status"] == ["running", "completed"]
    assert any(event.message.startswith("resumed from checkpoint-") for event in told)
    assert tuned(azure, again) == expected
    # One run, whoever looks; the second job is part of it.
    assert moved.backend.result(run).status == "completed"
    assert [state.run.id for state in moved.runs()] == [run.id]
    assert [event.message for event in heard(moved, run) if event.kind == "status"] == ["running", "completed"]
    model = moved.register(run)
    assert moved.register(run) == model
    assert moved.evaluate(run).tuned.loss > 0
    assert checkpoints(azure, run) == []
    moved.cleanup(everything=True)
    assert not [left for left in moved.leftovers() if run.id in left.resource.name]


@pytest.mark.slow
def test_preemptions_of_two_machines_leave_the_same_weights(azure: AzureMLEmulator, session: Made) -> None:
    """At random moments, some restarted by the service and some not, in as many runs as that takes; ten as a whole."""
    chance = random.Random(20261126)
    asked: dict[str, ParameterValue] = {**TWO_BY_TWO, "evaluation_strategy": "steps", "eval_steps": 1}
    connected = AzureMLBackend(poll=0.1, instance_type=SIZE, restarts=20)
    one = session(connected=connected, per_device_train_batch_size=1, **asked)
    first = one.submit()
    heard(one, first)
    expected = tuned(azure, first.id)
    taken, wanted = 0, 10 if WHOLE else 3
    while taken < wanted:
        run = one.submit(again=True)
        current, next_one = run.id, time.monotonic() + chance.uniform(2, 9)
        told = []
        for event in connected.events(run, poll=0.1):
            told.append(event)
            if event.kind == "warning" and "submitted again as " in event.message:
                current = event.message.partition("submitted again as ")[2].partition(",")[0]
            if taken < wanted and time.monotonic() > next_one and event.kind in {"progress", "log", "stage"}:
                azure.preempt(current, restart=chance.random() < 0.4)
                taken += 1
                next_one = time.monotonic() + chance.uniform(2, 9)
        assert told[-1].message == "completed"
        assert tuned(azure, current) == expected
        assert len([state for state in one.runs() if state.run.id == run.id]) == 1
        assert one.evaluate(run).tuned == one.evaluate(first).tuned
    assert checkpoints(azure, run) == []


@pytest.mark.slow
def test_a_run_that_is_not_to_be_submitted_again_has_failed_and_can_be_resumed(
    azure: AzureMLEmulator, session: Made
) -> None:
    once = AzureMLBackend(poll=0.1, restarts=0)
    one = session(connected=once, learning_rate=5e-3, **LONG)
    run = one.submit()
    for _event in once.events(run, poll=0.1):
        if checkpoints(azure, run):
            azure.preempt(run.id, restart=False)
            break
    with pytest.raises(RunFailedError, match="low-priority machines were taken away"):
        one.watch(run)
    assert checkpoints(azure, run)
    assert one.resume(run) == run
    assert one.watch(run).status == "completed"
    assert one.evaluate(run).tuned.loss > 0


@pytest.mark.slow
def test_what_a_canceled_run_kept_goes_with_it(azure: AzureMLEmulator, session: Made) -> None:
    one = session(**{**LONG, "num_train_epochs": 60})
    run = one.submit()
    for _event in one.backend.events(run, poll=0.1):
        if checkpoints(azure, run):
            break
    one.cancel(run)
    heard(one, run)
    assert one.backend.result(run).status == "canceled"
    one.cleanup(everything=True)
    assert checkpoints(azure, run) == []


@pytest.mark.slow
def test_a_script_runs_as_it_does_here(azure: AzureMLEmulator, session: Made, here: Made) -> None:
    one, other = session(Script(SCRIPTS / "plain_loop.py")), here(Script(SCRIPTS / "plain_loop.py"))
    run, reference = one.submit(), other.submit()
    assert losses(heard(one, run)) == losses(heard(other, reference))
    assert one.evaluate(run).tuned == other.evaluate(reference).tuned
    assert one.register(run).version


@pytest.mark.slow
@pytest.mark.parametrize("name", sampled(["plain_loop", "own_loss"], ["plain_loop"]))
def test_scripts_run_on_two_machines(azure: AzureMLEmulator, session: Made, here: Made, name: str) -> None:
    given = Script(SCRIPTS / f"{name}.py")
    one, other = session(given, **TWO_BY_TWO), here(given, processes=4)
    run, reference = one.submit(), other.submit()
    told, expected = losses(heard(one, run)), losses(heard(other, reference))
    assert told == pytest.approx(expected, rel=1e-5)
    assert one.evaluate(run).tuned.loss == pytest.approx(other.evaluate(reference).tuned.loss, rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("together", sampled([False, True], [True]))
def test_another_librarys_trainer_runs_there(azure: AzureMLEmulator, tmp_path: Path, *, together: bool) -> None:
    rows = [orjson.loads(line)["messages"] for line in sums(tmp_path).read_bytes().splitlines()]
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"chosen": row, "rejected": "0"}) + b"\n" for row in rows))
    one = FineTuneSession(
        ModelSpec("mine"),
        str(path),
        backend=AzureMLBackend(poll=0.1),
        compute=CLUSTER,
        parameters={**STEPS, "max_steps": 6, **(TWO_BY_TWO if together else {})},
        trainer=Script(SCRIPTS / "dpo.py", packages="trl==1.16.0"),
        columns={"chosen": "messages"},
        keep=True,
        folder=tmp_path / "home",
        progress=False,
    )
    run = one.submit()
    told = losses(heard(one, run))
    assert len(told) == 6
    assert told[0] == pytest.approx(0.6931, abs=1e-3)  # ln 2: at first both answers are alike to it
    assert told[-1] < told[0]
    assert one.evaluate(run).base.loss > 0


def test_a_script_that_fails_is_told_with_its_last_words(session: Made, tmp_path: Path) -> None:
    one = session(script(tmp_path, "raise ValueError('the seventh row is odd')\n"))
    with pytest.raises(RunFailedError, match="the seventh row is odd"):
        one.watch(one.submit())


def test_code_goes_up_once(azure: AzureMLEmulator, session: Made) -> None:
    session().submit()
    before = len(azure.world.state.names("codes"))
    session(learning_rate=2e-3).submit()
    assert len(azure.world.state.names("codes")) == before


def test_a_plan_asks_as_often_as_one_of_the_pipeline(azure: AzureMLEmulator, session: Made, tmp_path: Path) -> None:
    def asked(trainer: str) -> int:
        one = FineTuneSession(
            ModelSpec("mine"),
            DatasetSpec("own", f"file://{sums(tmp_path)}"),
            backend=AzureMLBackend(poll=0.1),
            compute=CLUSTER,
            trainer=trainer,
            folder=tmp_path / trainer,
            progress=False,
        )
        before = len(azure.requests)
        one.plan()
        return len(azure.requests) - before

    assert asked("azft") <= asked("chat_completion_pipeline")


@pytest.mark.slow
def test_a_retired_model_is_tuned_by_the_engine(azure: AzureMLEmulator, tmp_path: Path, weights: Path) -> None:
    """Phi-3-mini's fine-tuning was retired on 2025-08-30 (its metadata in the registry); the plan's fix is followed."""
    known = next(entry for entry in as_of_day(date.today().isoformat()) if entry.name == "Phi-3-mini-4k-instruct")
    given = evolve(known, version="99", published=date.today().isoformat(), weights=str(weights))
    with AzureMLEmulator(tmp_path / "retired", models=[given]) as started:
        started.place_compute(CLUSTER, size="Standard_NC24ads_A100_v4")
        backend = AzureMLBackend(poll=0.1)

        def made(**more: Any) -> FineTuneSession:
            return FineTuneSession(
                "Phi-3-mini-4k-instruct",
                str(sums(tmp_path)),
                backend=backend,
                compute=CLUSTER,
                parameters={**STEPS, "learning_rate": 5e-5, "apply_lora": True, "precision": "16"},
                folder=tmp_path / "retired-home",
                progress=False,
                **more,
            )

        (found,) = (finding for finding in made().plan().errors if finding.code == "AZFT-M002")
        assert "trainer='azft'" in found.fix
        one = made(trainer="azft")
        assert not one.plan().errors
        done = one.run()
        assert done.report.tuned.loss != done.report.base.loss
        assert done.model.version


class TestTraps:
    """What users of command jobs stumble over (threads named in the docs); azft's job has none of it."""

    @pytest.fixture
    def body(self, azure: AzureMLEmulator, session: Made) -> dict[str, Any]:
        """Return the job as the service got it."""
        run = session(**TWO_BY_TWO).submit()
        found: dict[str, Any] = azure.jobs.get(run.id)["properties"]
        return found

    def test_the_job_on_the_wire(self, azure: AzureMLEmulator, body: dict[str, Any]) -> None:
        # Shared memory of 2 GB by default: zenml 4329, kedro-azureml 100, MachineLearningNotebooks 560.
        assert body["resources"]["shmSize"] == "5g"
        # One launcher, Azure's own: never torchrun on top (Microsoft, Distributed training, 2025).
        assert body["distribution"] == {"distributionType": "PyTorch", "processCountPerInstance": 2}
        assert body["resources"]["instanceCount"] == 2
        assert not {"torchrun", "accelerate"} & set(body["command"].split())
        # Braces that an f-string would eat: azureml-examples, launch_grpo_command_job-med-mcqa.
        assert body["command"].count("${{inputs.") == 5
        assert body["command"].count("${{outputs.") == 3
        # Files in ./outputs are lost with the machine: MachineLearningNotebooks 1575.
        assert body["outputs"]["checkpoints"]["uri"].endswith(f"/azft/checkpoints/{azure.jobs.all()[0]['name']}/")
        assert {output["mode"] for output in body["outputs"].values()} == {"ReadWriteMount"}
        # "latest" is another image next week; here a version that is a digest of what is in it.
        assert body["environmentId"].endswith(f"{NAME}/versions/{version_of(job_environment())}")
        # Whoever may read the job may read its variables.
        assert not body.get("environmentVariables")

    def test_serverless_machines_run_as_their_user(self, azure: AzureMLEmulator, tmp_path: Path) -> None:
        one = FineTuneSession(
            ModelSpec("mine"),
            str(sums(tmp_path)),
            backend=AzureMLBackend(poll=0.1, job_tier="Spot", job_timeout=7200),
            compute=SIZE,
            parameters=STEPS,
            trainer="azft",
            folder="serverless",
            progress=False,
        )
        body = azure.jobs.get(one.submit().id)["properties"]
        assert body["identity"]["identityType"] == "UserIdentity"
        assert body["resources"]["instanceType"] == SIZE
        assert body["queueSettings"]["jobTier"] == "Spot"
        assert body["limits"]["timeout"] == "PT2H"
        assert not body.get("computeId")

    @pytest.mark.parametrize(
        ("settings", "code"),
        [
            ({"identity": "managed"}, "AZFT-T006"),
            ({"environment": "azureml://registries/azureml/environments/mine/labels/latest"}, "AZFT-T003"),
            ({"environment": "azureml:mine@latest"}, "AZFT-T003"),
            ({"environment": "azureml://registries/azureml/environments/acft-hf-nlp-gpu/versions/112"}, "AZFT-T004"),
        ],
    )
    def test_what_the_plan_says(self, session: Made, settings: dict[str, Any], code: str) -> None:
        plan = session().plan()
        plan = evolve(plan, compute=evolve(plan.compute, name="serverless"))
        assert code in {found.code for found in command_findings(plan, Launching(**settings), to_be_built=False)}

    def test_a_job_that_outlasts_its_machines(self) -> None:
        """7 days on low-priority machines, 21 on others (Microsoft, Manage and increase quotas, 2026-01)."""
        spot = Compute("cheap", SIZE, tier="LowPriority")
        assert time_limits(spot, Launching()) == (("cheap (low priority)", 7 * 86400.0),)
        assert time_limits(Compute("c", SIZE), Launching(timeout=60)) == (("job_timeout", 60), ("c", 21 * 86400.0))

    @pytest.mark.parametrize(
        ("settings", "named"),
        [
            ({"job_timeout": -1.0}, "job_timeout"),
            ({"job_timeout": float("nan")}, "job_timeout"),
            ({"job_identity": "me"}, "'managed'"),
            ({"job_tier": "Cheap"}, "Spot"),
            ({"restarts": -1}, "restarts"),
        ],
    )
    def test_settings_that_azure_would_refuse(
        self, azure: AzureMLEmulator, settings: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(ConfigurationError, match=named):
            AzureMLBackend(**settings)


@pytest.mark.slow
def test_what_goes_along_is_what_a_training_imports(tmp_path: Path, session: Made) -> None:
    """The code of a job holds every module that its process imports, and nothing that asks Azure for anything."""
    lay_out_code(tmp_path, session().build().trainer.script)
    said = subprocess.check_output(
        [
            sys.executable,
            "-c",
            "import sys, json, azft.stages.node, azft.stages.finetune, azft.stages.importing, azft.stages.preprocess\n"
            "import azft.stages.evaluate, azft.stages.export, azft.stages.scripted, azft.training.saving\n"
            "import azft.training.loop, azft.stages.standin, azft.stages.pictures, azft.engine.compare\n"
            "import azft.stages.judge, azft.stages.judging\n"
            "print(json.dumps([module.__file__ for name, module in sys.modules.items() if name.startswith('azft')]))",
        ],
        cwd=tmp_path,
        text=True,
        stderr=subprocess.DEVNULL,
    )
    files = [Path(name) for name in orjson.loads(said)]
    assert all(path.is_relative_to(tmp_path) for path in files)
    assert {path.name for path in (tmp_path / "azft").iterdir()} == set(PARTS) | (
        {"__pycache__"} if (tmp_path / "azft" / "__pycache__").exists() else set()
    )


def test_packages_are_those_of_this_release() -> None:
    """constraints.txt says what this release was tested with."""
    tested = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line and "#" not in line
    )
    packages = job_environment().packages
    assert {name: version for name, version in packages.items() if name in tested} == {
        name: tested[name] for name in packages if name in tested
    }
    assert {"torch", "transformers", "peft", "accelerate", "mlflow", "azureml-mlflow"} <= set(packages) & set(tested)


def test_a_scripts_packages_make_another_environment() -> None:
    plain, more = (
        environment_of(Trainer(ENGINE)),
        environment_of(Trainer("s", Script("train.py", packages=["trl==1.16.0"]))),
    )
    assert more.packages == {**plain.packages, "trl": "1.16.0"}
    assert version_of(plain) != version_of(more)


@pytest.mark.parametrize("package", ["trl", "trl>=1", "-r file.txt", "trl==1.0 --index-url x", "git+https://x==1"])
def test_packages_without_a_version_are_refused(tmp_path: Path, package: str) -> None:
    path = tmp_path / "train.py"
    path.touch()
    with pytest.raises(ConfigurationError, match="name==version"):
        Script(path, packages=[package]).check()


def test_there_is_no_script_without_azft(session: Made) -> None:
    with pytest.raises(UnsupportedError, match="its job runs azft's code"):
        session().build().to_sdk()


def test_the_environment_is_the_workspaces_own(session: Made, azure: AzureMLEmulator) -> None:
    session().submit()
    found = azure.environment()
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")
    client = MLClient(DefaultAzureCredential(), *(found[name] for name in names), enable_telemetry=False)
    made = client.environments.get(NAME, version_of(job_environment()))
    assert "python=3.12" in made.conda_file["dependencies"]
    assert "torch==2.13.0" in made.conda_file["dependencies"][-1]["pip"]


def test_the_command_is_one_line() -> None:
    assert "\n" not in command_line(8)
