"""Step 6: the base model against the tuned one, on what was held out, and on questions of one's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any, Protocol, TypeGuard

from attrs import evolve

from azft.domain.evaluation import Answer, EvaluationReport, OwnScores
from azft.domain.run import Run
from azft.errors import ConfigurationError, UnsupportedError
from azft.ledger import Ledger
from azft.ports import RunService
from azft.rules.chat import fault_of

Question = str | tuple[str, str] | Sequence[Mapping[str, Any]]
"""A question, a question with the answer that is expected, or a conversation that ends with a question or an answer."""
Scorer = Callable[[Answer, str], float]
"""Scores one text as the answer to a question: `scorer(answer, text)`; `answer` has question and expected text."""


class _Judges(RunService, Protocol):
    """A backend that compares models where they are."""

    def judging(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[str, Sequence[str]]:
        """Return the name of the job that does it, and of what it stores beside."""
        ...

    def judge(self, run: Run, questions: Sequence[Mapping[str, Any]], tags: Mapping[str, str]) -> Run:
        """Start that job, or return the one that is there."""
        ...

    def judged(self, judge: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[EvaluationReport, tuple[Answer, ...]]:
        """Return what it has found."""
        ...


class RunEvaluator:
    """Says what tuning changed, on conversations that were not trained on, and on questions of one's own.

    `questions` are asked of both models, and `scorers` are measures by name of each answer: the report's `own`. A
    comparison on the cluster is begun with `start`, watched like a run, and read with `evaluate(..., judge=)`.
    """

    def __init__(self, backend: RunService, ledger: Ledger | None = None) -> None:
        self._backend = backend
        self._ledger = ledger

    def evaluate(
        self,
        run: Run,
        *,
        questions: Sequence[Question] = (),
        scorers: Mapping[str, Scorer] | None = None,
        judge: Run | None = None,
    ) -> EvaluationReport:
        """Return the report of a completed run; `RunError` if it has none.

        Errors: `ConfigurationError` for a question that cannot be asked, and for a scorer that fails.
        """
        asked = conversations(questions)
        if judge is None:
            report = self._backend.evaluation(run)
            answers = self._backend.answers(run, asked) if asked else ()
        else:
            report, answers = _judging(self._backend).judged(judge, asked)
        if asked:
            report = evolve(report, answers=answers)
        measures = tuple(_scored(name, scorer, report.answers) for name, scorer in (scorers or {}).items())
        return evolve(report, own=measures) if measures else report

    def start(self, run: Run, *, questions: Sequence[Question] = ()) -> Run:
        """Start the comparison as a job on the cluster and return it; the same comparison finds its job."""
        backend, asked = _judging(self._backend), conversations(questions)
        name, stored = backend.judging(run, asked)
        known = backend.state(name)
        if known is not None and not known.deleted:
            return known.run
        with ExitStack() as stack:
            tags: Mapping[str, str] = {}
            if self._ledger is not None:
                made = stack.enter_context(self._ledger.making("run", name, run.backend, key=name))
                tags = made.tags
                for upload in stored:
                    stack.enter_context(self._ledger.making("upload", upload, run.backend, token=made.resource.token))
            return backend.judge(run, asked, tags)


def conversations(questions: Sequence[Question]) -> list[Mapping[str, Any]]:
    """Return questions as conversations that end with the expected answer, an empty one where there is none.

    >>> conversations(["Hi?"])[0]["messages"][-1]
    {'role': 'assistant', 'content': ''}
    """
    return [_conversation(number, question) for number, question in enumerate(questions, start=1)]


def _conversation(number: int, question: Question) -> Mapping[str, Any]:
    if isinstance(question, str):
        question = (question, "")
    if isinstance(question, tuple) and list(map(type, question)) == [str, str]:
        asked, expected = question
        messages: list[Any] = [{"role": "user", "content": asked}, {"role": "assistant", "content": expected}]
    else:
        messages = [dict(turn) for turn in question] if _are_turns(question) else []
        if messages and messages[-1].get("role") == "user":
            messages.append({"role": "assistant", "content": ""})
    fault = fault_of([*messages[:-1], {"role": "assistant", "content": "x"}]) if messages else None
    if not messages or fault is not None:
        why = f": {fault.reason}" if fault else ""
        raise ConfigurationError(
            f"question {number} cannot be asked{why}",
            hint="give a text, a pair of question and expected answer, or a conversation",
        )
    return {"messages": messages}


def _are_turns(value: object) -> TypeGuard[Sequence[Mapping[str, Any]]]:
    return isinstance(value, Sequence) and bool(value) and all(isinstance(turn, Mapping) for turn in value)


def can_judge(backend: object) -> bool:
    """Whether a backend compares models where they are, as a job of its own."""
    return hasattr(backend, "judge")


def _judging(backend: Any) -> _Judges:
    if not can_judge(backend):
        raise UnsupportedError(
            f"the backend {backend.name!r} compares models where this program runs", hint="leave where= out"
        )
    judges: _Judges = backend
    return judges


def _scored(name: str, scorer: Scorer, answers: Sequence[Answer]) -> OwnScores:
    if not callable(scorer):
        raise ConfigurationError(f"scorer {name!r} is {scorer!r}, expected a function of an answer and a text")
    base: list[float] = []
    tuned: list[float] = []
    for answer in answers:
        for text, scores in ((answer.base, base), (answer.tuned, tuned)):
            try:
                score = float(scorer(answer, text))
            except Exception as error:
                raise ConfigurationError(
                    f"scorer {name!r} failed on {text[:60]!r}: {type(error).__name__}: {error}",
                    hint="it takes an azft.Answer and a text, and returns a number",
                ) from error
            if not math.isfinite(score):
                raise ConfigurationError(f"scorer {name!r} gave {score} for {text[:60]!r}, expected a finite number")
            scores.append(score)
    count = max(len(answers), 1)
    return OwnScores(name, len(answers), sum(base) / count, sum(tuned) / count)
