"""Questions and measures of one's own, asked here and as a job on the cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azft import Answer, ConfigurationError, FineTuneSession, ModelSpec, Run
from azft.backends.azureml.backend import AzureMLBackend
from azft.errors import UnsupportedError
from azft.flow.evaluate import Question, RunEvaluator, conversations
from azft.snapshot import RegistryVersion
from azft.testing.emulator import AzureMLEmulator
from azft.testing.emulator.world import CONTAINER
from tests.small_runs import replaced, sums
from tests.test_local_backend import own_model
from tests.test_scripts import STEPS

QUESTIONS: list[Question] = ["20 plus one", ("3 plus one plus one", "4"), [{"role": "user", "content": "12 plus one"}]]


def is_number(_answer: Answer, text: str) -> bool:
    return text.strip().isdecimal()


def is_right(answer: Answer, text: str) -> float:
    return float(text.strip() == answer.expected)


SCORERS = {"is a number": is_number, "is right": is_right}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("questions")
    sums(folder)
    replaced(own_model(folder / "weights"), "llama")
    return folder


@pytest.fixture(scope="module")
def here(place: Path) -> tuple[FineTuneSession, Run]:
    """Give a session on this machine, and a completed run of its."""
    spec = ModelSpec("mine", weights=str(place / "weights"))
    one = FineTuneSession(
        spec, str(place / "sums.jsonl"), trainer="azft", parameters=STEPS, folder=place / "home", progress=False
    )
    run = one.submit()
    one.watch(run)
    return one, run


@pytest.fixture(scope="module")
def azure(place: Path) -> Iterator[AzureMLEmulator]:
    known = [RegistryVersion("mine", "1", "2026-01-01", weights=str(place / "weights"))]
    with AzureMLEmulator(place / "azure", models=known) as started:
        started.place_compute("cpu-cluster", size="Standard_DS3_v2")
        started.place_compute("gpu-cluster", size="Standard_NC24ads_A100_v4")
        yield started


def test_both_models_are_asked_and_scored(here: tuple[FineTuneSession, Run]) -> None:
    session, run = here
    plain = session.evaluate(run)
    report = session.evaluate(run, questions=QUESTIONS, scorers=SCORERS)
    assert [answer.question for answer in report.answers] == ["20 plus one", "3 plus one plus one", "12 plus one"]
    assert [answer.expected for answer in report.answers] == ["", "4", ""]
    assert [measure.name for measure in report.own] == ["is a number", "is right"]
    numbers, _right = report.own
    assert numbers.scored == 3
    assert numbers.tuned == sum(answer.tuned.strip().isdecimal() for answer in report.answers) / 3
    assert (report.base, report.tuned) == (plain.base, plain.tuned)
    assert "is a number, 3 answers" in str(report)
    # Without questions the answers of the report are scored.
    assert session.evaluate(run, scorers={"is right": is_right}).own[0].scored == len(plain.answers)


def test_every_held_out_conversation_has_its_figures(here: tuple[FineTuneSession, Run]) -> None:
    session, run = here
    report = session.evaluate(run)
    assert len(report.items) == report.conversations
    assert sum(item.tokens for item in report.items) == report.tokens
    weighed = sum(item.tokens * item.tuned for item in report.items) / report.tokens
    assert weighed == pytest.approx(report.tuned.loss, rel=1e-9)


@pytest.mark.parametrize(
    ("question", "why"),
    [
        ("", "question 1"),
        ((1, 2), "question 1"),
        ([], "question 1"),
        ([{"role": "robot", "content": "x"}], "no user turn"),
    ],
)
def test_what_cannot_be_asked_is_refused(question: Any, why: str) -> None:
    with pytest.raises(ConfigurationError, match=why):
        conversations([question])


def _raises(_answer: Answer, _text: str) -> float:
    raise KeyError("oops")


@pytest.mark.parametrize(
    ("scorer", "why"),
    [(_raises, "failed on .*KeyError"), (lambda *_: float("nan"), "gave nan"), ("exact", "expected a function")],
)
def test_a_scorer_that_fails_is_named(here: tuple[FineTuneSession, Run], scorer: Any, why: str) -> None:
    session, run = here
    with pytest.raises(ConfigurationError, match=f"scorer 'mine' .*{why}"):
        session.evaluate(run, scorers={"mine": scorer})


def test_this_machine_has_no_cluster(here: tuple[FineTuneSession, Run]) -> None:
    session, run = here
    with pytest.raises(UnsupportedError, match="where this program runs"):
        session.evaluate(run, where="cluster")
    with pytest.raises(ConfigurationError, match="where is 'there'"):
        session.evaluate(run, where="there")


def test_a_job_on_the_cluster_asks_both(
    azure: AzureMLEmulator, here: tuple[FineTuneSession, Run], place: Path, tmp_path: Path
) -> None:
    """The run of azft's engine has its report; its models are asked where they are, once for the same questions."""
    session = FineTuneSession(
        ModelSpec("mine"),
        str(place / "sums.jsonl"),
        backend=AzureMLBackend(poll=0.1),
        compute="cpu-cluster",
        trainer="azft",
        parameters=STEPS,
        folder=tmp_path / "home",
        progress=False,
    )
    run = session.submit()
    session.watch(run)
    local, same = here
    expected = local.evaluate(same, questions=QUESTIONS, scorers=SCORERS)
    report = session.evaluate(run, questions=QUESTIONS, scorers=SCORERS, where="cluster")
    assert (report.answers, report.own) == (expected.answers, expected.own)
    assert report.tuned.loss == pytest.approx(expected.tuned.loss, rel=1e-6)
    jobs = len(azure.jobs.all())
    assert session.evaluate(run, questions=QUESTIONS, where="cluster").answers == expected.answers
    assert len(azure.jobs.all()) == jobs
    with pytest.raises(UnsupportedError, match="where='cluster'"):
        session.evaluate(run, questions=QUESTIONS)
    session.cleanup(everything=True)
    assert not session.leftovers()
    assert not azure.world.blobs.names(CONTAINER, "azft/")


@pytest.mark.slow
def test_a_run_of_the_pipeline_is_compared_on_the_cluster(azure: AzureMLEmulator, place: Path, tmp_path: Path) -> None:
    """What the job finds is what is found here, where both models are downloaded."""
    session = FineTuneSession(
        ModelSpec("mine"),
        str(place / "sums.jsonl"),
        backend=AzureMLBackend(poll=0.1),
        compute="gpu-cluster",
        parameters={name: value for name, value in STEPS.items() if name != "threads"},
        folder=tmp_path / "home",
        progress=False,
    )
    plan = session.plan()
    run = session.submit(plan, accept=[finding.code for finding in plan.errors])
    session.watch(run)
    here = session.evaluate(run, questions=QUESTIONS)
    there = session.evaluate(run, questions=QUESTIONS, where="cluster")
    assert there.answers == here.answers
    for one, other in ((there.base, here.base), (there.tuned, here.tuned)):
        assert (one.loss, one.token_accuracy) == pytest.approx((other.loss, other.token_accuracy), rel=1e-6)
    session.cleanup(everything=True)


def test_an_evaluator_alone(here: tuple[FineTuneSession, Run]) -> None:
    session, run = here
    report = RunEvaluator(session.backend).evaluate(run, questions=["1 plus one"])
    assert len(report.answers) == 1
