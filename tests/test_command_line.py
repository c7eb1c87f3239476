"""The command `azft`: each command on this machine and on the emulator, its exit codes, and how fast it starts."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import click
import pytest

import azft
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.local.inputs import local_component
from azft.cli.main import cli, main
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import CLUSTER

pytestmark = pytest.mark.shared
QUICK = ["--dataset", "ultrachat_sample", "--percent", "8"]
COMMANDS = {
    "plan", "data", "run", "watch", "runs", "models", "sizes", "leftovers", "sweep", "plugins", "doctor", "schema",
}  # fmt: skip
Said = tuple[int, str, str]
Azft = Callable[..., Said]


@pytest.fixture
def azft_(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Azft:
    """Return what runs a command line in this process: its exit code, and what it wrote."""
    monkeypatch.chdir(tmp_path)

    def command(*words: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["azft", *words])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        written = capsys.readouterr()
        return code, written.out, written.err

    return command


def test_every_command_is_tested_and_documented() -> None:
    assert set(cli.commands) == COMMANDS
    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text(encoding="utf-8")
    for name in COMMANDS:
        assert f"`azft {name}" in page
    for code in (0, 1, 2, 3, 4, 5, 6, 130):
        assert f"| {code} |" in page


def test_help_is_quick() -> None:
    """It imports nothing heavy: a bare interpreter takes at least a quarter of its time."""

    def seconds(*command: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *command], check=True, capture_output=True)
        return time.perf_counter() - began

    took, bare = float("inf"), float("inf")
    for _try in range(20):  # The best of each, as other programs take their share of a core.
        took, bare = min(took, seconds("-m", "azft", "--help")), min(bare, seconds("-c", "pass"))
        if took < 8 * bare:
            break
    assert took < 8 * bare
    loaded = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "azft", "--help"], check=True, capture_output=True, text=True
    ).stderr
    for heavy in ("azure", "torch", "pandas", "rich", "mlflow", "pyarrow", "attrs"):
        assert f" {heavy}\n" not in loaded


class TestOnThisMachine:
    def test_plan(self, azft_: Azft) -> None:
        code, out, _err = azft_("plan", *QUICK)
        assert code == 0
        assert "Phi-3-mini-4k-instruct" in out
        assert f"All {len(local_component().inputs)} parameters" in out
        assert "weight_decay" in azft_("plan", *QUICK, "--full")[1]
        code, out, _err = azft_("plan", *QUICK, "--json")
        assert azft.Plan.from_json(out).dataset.name == "ultrachat_sample"

    def test_a_plan_with_errors_ends_with_3(self, azft_: Azft) -> None:
        code, out, _err = azft_("plan", *QUICK, "--set", "lr=1")
        assert code == 3
        assert "'learning_rate'" in out

    def test_a_plan_of_a_file_and_options_that_win(self, azft_: Azft, tmp_path: Path) -> None:
        (tmp_path / "finetune.yaml").write_text("dataset: ultrachat_sample\ndata: {percent: 50}\nrecipe: lora\n")
        plan = azft.Plan.from_json(azft_("plan", "-f", "finetune.yaml", "--percent", "8", "--json")[1])
        assert plan.data.percent == 8
        assert plan.parameters.explain("apply_lora").source == "recipe"

    def test_a_file_with_a_fault_ends_with_1(self, azft_: Azft, tmp_path: Path) -> None:
        (tmp_path / "finetune.yaml").write_text("modle: x\n")
        code, _out, err = azft_("plan", "-f", "finetune.yaml")
        assert code == 1
        assert "line 1: modle is no setting; did you mean 'model'?" in err

    def test_a_wrong_option_ends_with_2(self, azft_: Azft) -> None:
        assert azft_("plan", "--percnt", "8")[0] == 2
        code, _out, err = azft_("plan", "--set", "nothing")
        assert code == 2
        assert "'nothing' is not NAME=VALUE" in err

    def test_data(self, azft_: Azft) -> None:
        code, out, _err = azft_("data", *QUICK)
        assert code == 0
        assert "SHA-256" in out
        page = out.rpartition(": ")[2].strip()
        assert Path(page).is_file()
        found = json.loads(azft_("data", *QUICK, "--json")[1])
        assert found["train"]["rows"] > 0

    def test_data_that_is_bad_ends_with_1(self, azft_: Azft, tmp_path: Path) -> None:
        (tmp_path / "bad.jsonl").write_text('{"messages": []}\n' * 3)
        code, _out, err = azft_("data", "-d", "bad.jsonl")
        assert code == 1
        assert "AZFT-R" in err

    def test_run_watch_runs_leftovers_sweep(self, azft_: Azft) -> None:
        few = [*QUICK, "--recipe", "quick", "--set", "max_steps=2"]
        code, out, err = azft_("run", *few, "--detach", "--quiet")
        assert (code, err) == (0, "")
        run_id = out.split()[-1]
        code, out, _err = azft_("watch", run_id, "--quiet")
        assert code == 0
        assert f"{run_id} completed" in out
        assert json.loads(azft_("runs", "--json")[1])[0]["status"] == "completed"
        assert run_id in azft_("runs")[1]
        assert run_id in azft_("leftovers")[1]
        code, out, _err = azft_("sweep")
        assert (code, run_id in out, "deleted" in out) == (0, True, False)
        # The same plan finds the run that is there.
        result = json.loads(azft_("run", *few, "--json", "--no-evaluate", "--no-register")[1])
        assert result["result"]["run"]["id"] == run_id
        code, out, _err = azft_("sweep", "--delete")
        assert f"deleted run {run_id}" in out
        assert azft_("watch", run_id)[0] == 1

    def test_models_and_sizes(self, azft_: Azft) -> None:
        assert "Phi-4" in azft_("models")[1]
        assert json.loads(azft_("models", "--json")[1])["task"] == "chat-completion"
        code, out, _err = azft_("sizes", *QUICK)
        assert code == 0
        assert json.loads(azft_("sizes", *QUICK, "--json")[1])["offers"] == [] or "cores" in out

    def test_plugins_and_schema(self, azft_: Azft) -> None:
        code, out, _err = azft_("plugins")
        assert code == 0
        assert "azft.builtin.models" in out
        assert f"azft {azft.__version__}" in out
        named = {entry["name"]: entry for entry in json.loads(azft_("plugins", "--json")[1])}
        assert "ultrachat_200k" in named["azft.builtin.datasets"]["offers"]["azft_datasets"]
        assert json.loads(azft_("schema")[1])["additionalProperties"] is False

    def test_doctor(self, azft_: Azft) -> None:
        code, out, _err = azft_("doctor")
        assert code == 0
        for subject in ("Python", "torch", "disk", "GPU", "backend", "model"):
            assert subject in out


class TestOnTheEmulator:
    @pytest.fixture
    def azure(self, azft_: Azft, emulator: AzureMLEmulator, backend: AzureMLBackend) -> Azft:
        """Return the command line with the options for the emulated workspace."""
        return lambda command, *words: azft_(command, "-b", "azureml", "-m", "Phi-4", "-c", CLUSTER, *words)

    def test_plan_says_its_cost(self, azure: Azft) -> None:
        code, out, _err = azure("plan", *QUICK)
        assert code == 0
        assert "cost" in out
        assert azure("plan", *QUICK, "--budget", "0.5")[0] == 3

    def test_run_watch_runs_leftovers_sweep(self, azure: Azft, emulator: AzureMLEmulator) -> None:
        emulator.script(Outcome(seconds=0))
        code, out, _err = azure("run", *QUICK, "--detach", "-q")
        assert code == 0
        run_id = out.split()[-1]
        assert azure("watch", run_id, "-q")[0] == 0
        assert run_id in azure("runs")[1]
        assert run_id in azure("leftovers")[1]
        assert json.loads(azure("sweep", "--json")[1])["deleted"] == []
        assert f"deleted run {run_id}" in azure("sweep", "--delete")[1]

    def test_a_run_that_fails_ends_with_4_and_its_cause(self, azure: Azft, emulator: AzureMLEmulator) -> None:
        emulator.script(Outcome(status="failed", error="CUDA out of memory. Tried to allocate 2.00 GiB", seconds=0))
        code, _out, err = azure("run", *QUICK, "-q")
        assert code == 4
        assert "AZFT-F" in err

    def test_a_run_that_goes_on_ends_with_6(self, azure: Azft, emulator: AzureMLEmulator) -> None:
        emulator.script(Outcome(seconds=300))
        code, _out, err = azure("run", *QUICK, "-q", "--timeout", "1")
        assert code == 6
        assert "session.attach" in err or "azft watch" in err

    def test_models_sizes_data_doctor(self, azure: Azft) -> None:
        assert "Phi-4" in azure("models")[1]
        assert "Standard_NC24ads_A100_v4" in azure("sizes", *QUICK)[1]
        assert azure("data", *QUICK)[0] == 0
        code, out, _err = azure("doctor")
        assert code == 0
        assert "quotas" in out

    def test_doctor_says_what_does_not_work(self, azure: Azft, emulator: AzureMLEmulator) -> None:
        emulator.fault(path="*/computes/*", status=403, code="AuthorizationFailed", times=None)
        code, out, _err = azure("doctor")
        assert code == 1
        assert "does not work" in out


def test_python_m_azft_is_the_command() -> None:
    ran = subprocess.run([sys.executable, "-m", "azft", "--version"], capture_output=True, text=True, check=True)
    assert azft.__version__ in ran.stdout


def test_options_of_a_session_have_help() -> None:
    for name, command in cli.commands.items():
        assert command.help, name
        assert all(option.help for option in command.params if isinstance(option, click.Option)), name
