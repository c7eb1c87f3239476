"""Training scripts of a user's own: run with what the plan decided, followed, resumed, compared, registered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import orjson
import pytest
from attrs import evolve
from safetensors.torch import load_file

import azft
from azft import ConfigurationError, FineTuneSession, ModelSpec, PlanError, Script, Trainer, hookimpl
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.local.backend import LocalBackend
from azft.backends.local.runs import LocalRuns
from azft.domain.parameters import ParameterValue
from azft.domain.trainers import CHAT_PIPELINE
from azft.engine.loading import load_tokenizer
from azft.errors import RunCanceledError, RunFailedError, UnknownNameError
from azft.processes import is_alive
from azft.training import current_task, tokens
from azft.training.events import read_events
from azft.waiting import wait_until
from tests.sampling import sampled
from tests.small_runs import replaced, sums
from tests.test_local_backend import own_model

SCRIPTS = Path(__file__).parents[1] / "examples" / "scripts"
STEPS: dict[str, ParameterValue] = {
    "learning_rate": 1e-2,
    "apply_lora": False,
    "per_device_train_batch_size": 6,
    "num_train_epochs": 2,
    "evaluation_strategy": "disable",
    "logging_steps": 1,
    "threads": 1,
}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return replaced(own_model(tmp_path / "weights"), "llama")


@pytest.fixture
def session(weights: Path, tmp_path: Path) -> Callable[..., FineTuneSession]:
    def made(trainer: Any, home: str = "home", **parameters: ParameterValue) -> FineTuneSession:
        return FineTuneSession(
            ModelSpec("mine", weights=str(weights)),
            str(sums(tmp_path)),
            parameters={**STEPS, **parameters},
            trainer=trainer,
            folder=tmp_path / home,
            progress=False,
        )

    return made


def script(folder: Path, text: str, name: str = "train.py") -> Script:
    path = folder / name
    path.write_text(dedent(text))
    return Script(path)


def slow(*values: str) -> Any:
    return pytest.param(*values, marks=pytest.mark.slow)


def folder_of(session: FineTuneSession, run: azft.Run) -> Path:
    assert isinstance(session.backend, LocalBackend)
    return session.backend.home.run(run.id)


def losses(session: FineTuneSession, run: azft.Run) -> list[float]:
    told = read_events(folder_of(session, run) / "events.jsonl")
    return [event.values["loss"] for event in told if event.kind == "progress" and "loss" in event.values]


def weights_of(session: FineTuneSession, run: azft.Run) -> dict[str, Any]:
    return load_file(folder_of(session, run) / "finetune" / "model" / "model.safetensors")


WHOLE = """
from azft.training import current_task
task = current_task()
trainer = task.trainer(task.load_model())
trainer.train(resume_from_checkpoint=task.newest_checkpoint())
task.save(trainer.model)
"""


@pytest.mark.slow
@pytest.mark.parametrize("lora", sampled([True, False], [True]))
def test_the_parts_are_those_of_the_engine(
    session: Callable[..., FineTuneSession], tmp_path: Path, *, lora: bool
) -> None:
    engine, own = session("azft", apply_lora=lora), session(script(tmp_path, WHOLE), "other", apply_lora=lora)
    first, second = (one.run().run for one in (engine, own))
    assert losses(own, second) == losses(engine, first)
    one, other = weights_of(engine, first), weights_of(own, second)
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_a_plain_loop_is_followed_compared_and_registered(session: Callable[..., FineTuneSession]) -> None:
    one = session(Script(SCRIPTS / "plain_loop.py"))
    plan = one.plan()
    assert not plan.errors
    assert "plain_loop" in str(plan)
    done = one.run(plan)
    assert done.report.tuned.loss < done.report.base.loss
    assert len(losses(one, done.run)) == plan.forecast.steps if plan.forecast else 0
    assert done.model.version == "1"
    # The same script and data find the run, and another script does not.
    assert one.submit().id == done.run.id


@pytest.mark.slow
def test_the_example_runs(tmp_path: Path) -> None:
    example = SCRIPTS.parent / "own_script.py"
    said = subprocess.check_output([sys.executable, "-W", "ignore", example], cwd=tmp_path, text=True)
    assert "Evaluation on 11 held-out conversations" in said
    assert not list((tmp_path / ".azft" / "runs").iterdir())


def test_two_scripts_are_two_runs(session: Callable[..., FineTuneSession], tmp_path: Path) -> None:
    first = session(script(tmp_path, WHOLE)).build()
    again = session(script(tmp_path, WHOLE)).build()
    changed = session(script(tmp_path, WHOLE + "# changed\n")).build()
    assert first.key == again.key
    assert len({first.key, changed.key, session("azft").build().key}) == 3


@pytest.mark.slow
def test_a_loss_of_ones_own(session: Callable[..., FineTuneSession]) -> None:
    one = session(Script(SCRIPTS / "own_loss.py"), apply_lora=True)
    done = one.run()
    engine = session("azft", "other", apply_lora=True)
    plain = engine.run()
    assert losses(one, done.run)[0] < losses(engine, plain.run)[0]
    assert done.report.tuned.loss < done.report.base.loss


@pytest.mark.slow
def test_preferences_with_trl(weights: Path, tmp_path: Path) -> None:
    rows = [orjson.loads(line)["messages"] for line in sums(tmp_path).read_bytes().splitlines()]
    path = tmp_path / "pairs.jsonl"
    path.write_bytes(b"".join(orjson.dumps({"chosen": row, "rejected": "0"}) + b"\n" for row in rows))
    one = FineTuneSession(
        ModelSpec("mine", weights=str(weights)),
        str(path),
        parameters={**STEPS, "max_steps": 6},
        trainer=Script(SCRIPTS / "dpo.py"),
        columns={"chosen": "messages"},
        keep=True,
        folder=tmp_path / "home",
        progress=False,
    )
    done = one.run(one.plan())
    told = losses(one, done.run)
    assert len(told) == 6
    assert told[0] == pytest.approx(0.6931, abs=1e-3)  # ln 2: at first both answers are alike to it
    assert told[-1] < told[0]


@pytest.mark.slow
def test_two_processes_learn_what_one_does(session: Callable[..., FineTuneSession], tmp_path: Path) -> None:
    alone = session(script(tmp_path, WHOLE))
    two = session(script(tmp_path, WHOLE), "other", processes=2, per_device_train_batch_size=3)
    first, second = alone.run().run, two.run().run
    assert losses(two, second) == pytest.approx(losses(alone, first), rel=1e-5)


@pytest.mark.slow
def test_kills_of_a_script_and_of_its_worker_change_no_weight(
    session: Callable[..., FineTuneSession], tmp_path: Path
) -> None:
    text = (SCRIPTS / "plain_loop.py").read_text().replace("step % 10 == 0", "step % 3 == 0")
    given = script(tmp_path, text.replace("optimizer.step()", "optimizer.step(); __import__('time').sleep(0.3)"))
    undisturbed = session(given, "other", num_train_epochs=6)
    before = undisturbed.run().run
    one = session(given, num_train_epochs=6)
    run = one.submit()
    folder = folder_of(one, run)

    def process_after(step: int) -> int:
        deadline = time.monotonic() + 60
        while not (folder / "checkpoints" / f"checkpoint-{step}" / "sealed.json").exists():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        ((pid, _since),) = orjson.loads((folder / "script.json").read_bytes())
        return int(pid)

    os.kill(process_after(3), signal.SIGKILL)
    with pytest.raises(RunFailedError, match="ended by signal 9"):
        one.watch(run)
    one.resume(run)
    left = process_after(9)
    os.kill(worker_of(left), signal.SIGKILL)
    one.watch(run)
    assert not is_alive(left)
    expected, found = weights_of(undisturbed, before), weights_of(one, run)
    assert all(found[key].equal(expected[key]) for key in expected)
    assert losses(one, run)[-1] == losses(undisturbed, before)[-1]


def worker_of(pid: int) -> int:
    import psutil

    return psutil.Process(pid).ppid()


def test_a_script_stops_when_it_is_canceled(session: Callable[..., FineTuneSession], tmp_path: Path) -> None:
    one = session(script(tmp_path, "import time\nprint('begun', flush=True)\ntime.sleep(600)\n"))
    run = one.submit()
    log = folder_of(one, run) / "logs" / "script-0.log"
    deadline = time.monotonic() + 60
    while not (log.exists() and "begun" in log.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    one.cancel(run)
    with pytest.raises(RunCanceledError):
        one.watch(run)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_that_name", "No module named 'nothing_of_that_name'"),
        slow("print('nothing')", "without saving a model"),
        slow("raise SystemExit(3)", "ended with code 3"),
        slow("def broken(:", "SyntaxError"),
        slow(
            "import torch\nraise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')", "out of memory"
        ),
        slow("from azft.training import current_task\ncurrent_task().tokens('dev')", "has no split 'dev'"),
    ],
)
def test_a_script_that_fails_says_why(
    session: Callable[..., FineTuneSession], tmp_path: Path, text: str, said: str
) -> None:
    one = session(script(tmp_path, text))
    with pytest.raises(RunFailedError) as caught:
        one.run()
    assert said in str(caught.value)
    assert "train.py" in str(caught.value)


@pytest.mark.slow
def test_what_goes_with_a_script(session: Callable[..., FineTuneSession], tmp_path: Path) -> None:
    code = tmp_path / "mine"
    (code / "tools").mkdir(parents=True)
    (code / ".venv").mkdir()
    (code / ".venv" / "large").write_text("x")
    (code / "tools" / "help.py").write_text("def hello(name): print('hello', name)\n")
    (code / "train.py").write_text("import sys\nfrom tools.help import hello\nhello(sys.argv[1])\n" + WHOLE)
    one = session(Script(code / "train.py", arguments=["you there"], code=code))
    done = one.run()
    folder = folder_of(one, done.run)
    assert "hello you there" in (folder / "logs" / "script-0.log").read_text()
    assert sorted(path.name for path in (folder / "code").iterdir() if path.name != "__pycache__") == [
        "tools",
        "train.py",
    ]


def test_a_script_that_is_not_there_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.py").touch()
    (tmp_path / "folder" / ".hidden").mkdir(parents=True)
    (tmp_path / "folder" / ".hidden" / "b.py").touch()
    for given, said in (
        (Script(tmp_path / "nothing.py"), "there is no script"),
        (Script(tmp_path / "a.py", code=tmp_path / "folder"), "is not in its folder"),
        (Script(tmp_path / "folder" / ".." / "a.py", code=tmp_path / "folder"), "is not in its folder"),
        (Script(tmp_path / "folder" / ".hidden" / "b.py", code=tmp_path / "folder"), "is hidden"),
    ):
        with pytest.raises(ConfigurationError, match=said):
            FineTuneSession(trainer=given)


def test_a_run_needs_its_script_no_more(session: Callable[..., FineTuneSession], tmp_path: Path) -> None:
    given = script(tmp_path, "import time\ntime.sleep(600)\n")
    one = session(given)
    job = one.build()
    assert azft.Plan.from_json(one.plan().to_json()).trainer.script == given
    run = one.submit()
    folder = folder_of(one, run)
    deadline = time.monotonic() + 60
    while not (folder / "script.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ((pid, since),) = orjson.loads((folder / "script.json").read_bytes())
    given.path.write_text("changed")
    with pytest.raises(ConfigurationError, match="was changed since"):
        one.backend.submit(evolve(job, id="another"))
    given.path.unlink()
    # Its worker is gone, and nobody but us knows of its processes.
    os.kill(worker_of(pid), signal.SIGKILL)
    assert isinstance(one.backend, LocalBackend)
    local = LocalRuns(one.backend.home)
    # Its lock goes with the last of its threads.
    assert wait_until(lambda: not local.alive(run))
    assert [entry.run.id for entry in one.runs()] == [run.id]
    assert one.leftovers()
    one.cancel(run)
    assert not is_alive(pid, since)
    one.cleanup(everything=True, stop_runs=True)
    assert not folder.exists()


def test_trainers_are_a_menu(session: Callable[..., FineTuneSession], tmp_path: Path, weights: Path) -> None:
    mine = Trainer("focal", script(tmp_path, WHOLE))

    class Offers:
        @hookimpl
        def azft_trainers(self) -> list[Trainer]:
            return [mine]

    plugins = azft.load_plugins(Offers())
    one = FineTuneSession(
        ModelSpec("mine", weights=str(weights)), str(sums(tmp_path)), trainer="focal", plugins=plugins, progress=False
    )
    assert one.plan().trainer == mine
    with pytest.raises(UnknownNameError, match=r"no trainer 'focl'.*\n.*'focal'"):
        FineTuneSession(trainer="focl", plugins=plugins)
    for name in ("azft", "chat_completion_pipeline"):
        assert not session(name).plan().errors


@pytest.mark.parametrize("trainer", ["azft", "script", "chat_completion_pipeline"])
def test_a_backend_that_cannot_run_it_says_so_before(trainer: str, tmp_path: Path) -> None:
    from azft.testing.emulator import AzureMLEmulator

    class PipelineAlone(AzureMLBackend):
        trainers = (CHAT_PIPELINE,)

    given: Any = script(tmp_path, WHOLE) if trainer == "script" else trainer
    with AzureMLEmulator():
        backend = PipelineAlone(instance_type="Standard_NC24ads_A100_v4")
        one = FineTuneSession("Phi-4", backend=backend, trainer=given, folder=tmp_path / "home", progress=False)
        codes = [finding.code for finding in one.plan().errors]
        assert ("AZFT-T001" in codes) == (trainer != "chat_completion_pipeline")
        if "AZFT-T001" not in codes:
            return
        with pytest.raises(PlanError, match="AZFT-T001"):
            one.build()


def test_a_program_that_azft_did_not_start_has_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZFT_TASK", raising=False)
    with pytest.raises(ConfigurationError, match="there is no task"):
        current_task()
    monkeypatch.setenv("AZFT_TASK", "nothing.json")
    with pytest.raises(ConfigurationError, match="no file of a task"):
        current_task()


@pytest.mark.slow
def test_rows_outside_of_a_run_are_those_within(session: Callable[..., FineTuneSession], weights: Path) -> None:
    text = """
    import json
    from azft.training import current_task, tokens
    task = current_task()
    made, mine = task.tokens("train"), tokens(task.rows("train"), task.load_tokenizer())
    assert [made[n] for n in range(len(made))] == [mine[n] for n in range(len(mine))]
    print("equal", len(made))
    task.save(task.load_model(adapter=False))
    """
    one = session(script(weights.parent, text))
    done = one.run()
    assert "equal 24" in (folder_of(one, done.run) / "logs" / "script-0.log").read_text()
    rows = tokens(
        [{"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "2"}]}],
        load_tokenizer(weights),
    )
    assert len(rows) == 1


def test_it_loads_without_the_rest() -> None:
    program = (
        "import sys\n"
        "import azft.training as training\n"
        "training.current_task, training.Task\n"
        "heavy = {'torch', 'transformers', 'azure', 'mlflow', 'pandas', 'datasets', 'numpy', 'pluggy'}\n"
        "print(sorted(heavy & {name.partition('.')[0] for name in sys.modules}))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert said.strip() == "[]"
