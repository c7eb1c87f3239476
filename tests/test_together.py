"""Several processes train together, one a device: the same losses whatever way, and no weight changes by a kill."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from attrs import evolve
from torch.multiprocessing.spawn import ProcessExitedException

import azft
from azft.backends.local.backend import LocalBackend
from azft.backends.local.inputs import local_component
from azft.backends.local.runs import LocalRuns
from azft.domain.compute import Compute
from azft.domain.parameters import Layer, Parameters
from azft.files import sha256_of_folder
from azft.rules.devices import gpus_used, processes_used
from azft.rules.engine_inputs import process_findings
from azft.rules.parameters import USER, resolve
from azft.stages.context import StageContext
from azft.stages.finetune import _group
from azft.stages.ranks import FAILED, RankFailedError, TooLargeError, _judge, run_ranks
from azft.testing.contract import SAMPLE
from azft.training.arguments import group_wanted
from azft.training.events import read_events
from azft.training.group import Group
from tests.sampling import sampled
from tests.small_runs import FAMILIES, replaced, staged_run
from tests.test_kills import worker_of
from tests.test_local_backend import own_model
from tests.ways import ALIKE, KINDS, RELEASED, Way, losses_of, losses_of_trl, read_losses, ways_of


def chosen(**values: Any) -> Parameters:
    """Return the local component's parameters with some of them set by the user."""
    return resolve((Layer(USER, values),), local_component())[0]


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no worker: stages are done in this process."""
    monkeypatch.setattr(LocalRuns, "_start", lambda _self, _run: None)


# How many train.


@pytest.mark.parametrize(
    ("values", "gpus", "expected"),
    [
        ({}, 0, 1),
        ({}, 8, 8),
        ({"processes": 2}, 0, 2),
        ({"processes": 2}, 8, 2),
        ({"number_of_gpu_to_use_finetuning": 3}, 8, 3),
        ({"number_of_gpu_to_use_finetuning": 3}, 0, 1),
        ({"number_of_gpu_to_use_finetuning": 16}, 8, 8),
    ],
)
def test_one_process_trains_on_each_gpu_unless_somebody_asks_otherwise(
    values: dict[str, Any], gpus: int, expected: int
) -> None:
    assert processes_used(chosen(**values), gpus) == expected
    assert gpus_used(chosen(**values), Compute("c", "s", gpus=gpus)) == min(expected, gpus)


def test_more_processes_than_gpus_are_refused_and_gpus_without_any_are_said() -> None:
    assert not process_findings(chosen(processes=2), gpus=2)
    (refused,) = process_findings(chosen(processes=3), gpus=2)
    assert (refused.code, refused.severity) == ("AZFT-P102", "error")
    assert "3 processes cannot share 2 GPUs" in refused.found
    (ignored,) = process_findings(chosen(number_of_gpu_to_use_finetuning=2), gpus=0)
    assert (ignored.code, ignored.subject) == ("AZFT-P101", "number_of_gpu_to_use_finetuning")
    (alone,) = process_findings(chosen(sharding="on"), gpus=0)
    assert (alone.code, alone.subject) == ("AZFT-P101", "sharding")


def test_the_plan_counts_the_rows_of_all_processes(tmp_path: Path) -> None:
    def steps(**parameters: Any) -> tuple[int, int]:
        made = azft.FineTuneSession(
            dataset=SAMPLE, percent=8, folder=tmp_path, progress=False,
            parameters={"per_device_train_batch_size": 4, **parameters},
        )  # fmt: skip
        ahead = made.plan().forecast
        assert ahead is not None
        return ahead.batch, ahead.steps

    assert steps() == (4, 18 * 8)
    assert steps(processes=2) == (8, 9 * 8)


def test_weights_are_sharded_where_one_gpu_does_not_hold_them(monkeypatch: pytest.MonkeyPatch) -> None:
    from azft.rules.shapes import shape_of

    class Card:
        total_memory = 24 << 30

    llama = shape_of(
        {"hidden_size": 4096, "num_hidden_layers": 32, "num_attention_heads": 32, "intermediate_size": 11008,
         "vocab_size": 32000, "max_position_embeddings": 4096}
    )  # fmt: skip
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _index: Card)
    assert group_wanted(chosen(apply_lora=False), llama, longest=2048) == Group(size=2, sharded=True)
    assert group_wanted(chosen(apply_lora=True, precision="16"), llama, longest=2048) == Group(size=2)
    assert group_wanted(chosen(apply_lora=False, sharding="off"), llama, longest=2048) == Group(size=2)
    assert group_wanted(chosen(apply_lora=False, processes=1), llama, longest=2048) == Group()


# The same losses whatever way.


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_every_way_of_training_has_the_same_losses(tmp_path: Path) -> None:
    found = {kind: dict(zip(ways_of(kind), losses_of(tmp_path, kind), strict=True)) for kind in KINDS}
    released = read_losses(RELEASED)
    for way, one in found["one"].items():
        assert len(one) == 4
        assert one[-1] < one[0]
        for kind in ("ddp", "fsdp2"):
            assert found[kind].get(way, one) == pytest.approx(one, rel=ALIKE), (kind, way)
        usual = evolve(way, checkpointing=False, accumulation=1)
        assert one == pytest.approx(found["one"][usual], rel=ALIKE), way
        assert one == pytest.approx(released[str(way)], rel=ALIKE), way
    for family in FAMILIES:
        assert losses_of_trl(tmp_path, family) == pytest.approx(found["one"][Way(family)], rel=ALIKE), family


# What becomes of a process becomes of all.


def fails_in_one(context: StageContext, group: Group, _shrunk: int) -> None:
    """Fail in the second process, while the first waits for it."""
    if group.rank == 1:
        raise ValueError("nothing to learn")
    group.wait()


def runs_out_of_memory(_context: StageContext, group: Group, shrunk: int) -> None:
    """Take too much until passes are smaller."""
    if not shrunk and group.rank == 1:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    if not shrunk:
        group.wait()


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_a_process_that_fails_ends_all_and_says_why(tmp_path: Path) -> None:
    context = staged_run(tmp_path, own_model(tmp_path / "weights"))
    with pytest.raises(RankFailedError, match="ValueError: nothing to learn"):
        run_ranks(context, fails_in_one, Group(size=2), 0)
    with pytest.raises(TooLargeError, match=r"OutOfMemoryError: CUDA out of memory\."):
        run_ranks(context, runs_out_of_memory, Group(size=2), 0)
    run_ranks(context, runs_out_of_memory, Group(size=2), 1)
    assert not psutil.Process().children(recursive=True) or all(
        "spawn_main" not in " ".join(child.cmdline()) for child in psutil.Process().children(recursive=True)
    )
    assert not list(context.folder.glob(".meeting*"))


SETTINGS: dict[str, Any] = {
    "processes": 2,
    "logging_steps": 1,
    "max_steps": 30,
    "evaluation_strategy": "steps",
    "eval_steps": 5,
    "per_device_train_batch_size": 4,
}


def session_in(folder: Path, **more: Any) -> azft.FineTuneSession:
    return azft.FineTuneSession(
        dataset=SAMPLE, percent=8, folder=folder, progress=False, parameters={**SETTINGS, **more}
    )


def ranks_of(worker: psutil.Process) -> list[psutil.Process]:
    return [child for child in worker.children() if "spawn_main" in " ".join(child.cmdline())]


def steps_seen(session: azft.FineTuneSession, run: azft.Run) -> Iterator[int]:
    assert isinstance(session.backend, LocalBackend)
    for event in session.backend.events(run):
        if event.stage == "finetune" and "loss" in event.values:
            yield event.step


@pytest.mark.slow
@pytest.mark.parametrize(
    ("sharding", "victims"), sampled([("off", (0, -1)), ("on", (1,))], [("off", (-1,)), ("on", (1,))])
)
def test_a_kill_of_one_process_or_of_its_worker_changes_no_weight(
    tmp_path: Path, sharding: str, victims: tuple[int, ...]
) -> None:
    found = set()
    for victim in (None, *victims):
        session = session_in(tmp_path / str(victim), sharding=sharding)
        run = session.submit()
        ranks: list[psutil.Process] = []
        for step in steps_seen(session, run):
            if step >= 12 and not ranks:
                worker = worker_of(session.folder, run.id)
                assert worker is not None
                ranks = ranks_of(worker)
                assert len(ranks) == 2
                if victim is not None:
                    (worker if victim < 0 else ranks[victim]).kill()
        folder = session.folder / "runs" / run.id
        said = [event.message for event in read_events(folder / "events.jsonl")]
        assert ("resumed from checkpoint-10" in said) == (victim is not None)
        assert session.backend.result(run).status is azft.RunStatus.COMPLETED
        assert not any(rank.is_running() and rank.status() != psutil.STATUS_ZOMBIE for rank in ranks)
        found.add(sha256_of_folder(folder / "finetune" / "model"))
    assert len(found) == 1


@pytest.mark.slow
def test_a_run_of_several_processes_is_canceled_as_one(tmp_path: Path) -> None:
    session = session_in(tmp_path, max_steps=2000, evaluation_strategy="disable")
    run = session.submit()
    for step in steps_seen(session, run):
        if step == 3:
            session.cancel(run)
            begun = time.monotonic()
    assert session.backend.result(run).status is azft.RunStatus.CANCELED
    assert time.monotonic() - begun < 60


def test_a_kill_is_the_cause_of_what_the_other_processes_met(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = tmp_path / "rank.txt"
    said.write_text("RuntimeError: Connection closed by peer")
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("azft.stages.ranks.os.kill", lambda *given: killed.append(given))
    first = ProcessExitedException("", error_index=0, error_pid=1, exit_code=FAILED)
    with pytest.raises(RankFailedError):
        _judge(first, [FAILED, -signal.SIGTERM], said)
    assert not killed
    with pytest.raises(RankFailedError):  # Nobody is there after a real kill.
        _judge(first, [FAILED, -signal.SIGKILL], said)
    assert killed == [(os.getpid(), signal.SIGKILL)]


@pytest.mark.usefixtures("quiet")
def test_a_run_goes_on_with_the_processes_that_it_began_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = staged_run(tmp_path, replaced(own_model(tmp_path / "weights"), "llama"), processes=2)
    assert _group(context) == Group(size=2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    assert _group(context) == Group(size=2)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(azft.ConfigurationError, match="begun on 2 GPUs, and 1 are in sight"):
        _group(context)
