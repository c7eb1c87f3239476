"""The base model against the tuned one: loss, token accuracy, exact answers, and a few answers side by side."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from azft.domain.evaluation import Answer, EvaluationReport, ExactAnswers, ItemScores
from azft.engine.answering import answer_all
from azft.engine.rows import Rows
from azft.engine.scoring import score
from azft.engine.tokens import ChatTokenizer, Row
from azft.rules.metrics import loss_warning
from azft.rules.words import trained_on as said_of

SMALL = 20_000_000
"""Up to this many parameters every question can be asked; a larger model is asked only the shown ones."""
MOST_ASKED = 2000
MOST_ITEMS = 5000


def compare(
    base: Callable[[], Any],
    tuned: Callable[[], Any],
    reads: ChatTokenizer,
    rows: Rows,
    *,
    trained_on: Collection[int] = (),
    test: Path,
    train: Path,
    batch: int,
    shown: int,
    say: Callable[[str], None],
    asked: Callable[[int, int], None] = lambda _done, _total: None,
) -> EvaluationReport:
    """Return the report; models are loaded one after the other, and `say` is told of each step.

    `asked` is told how many questions of how many have been answered, by both models together.
    `rows` are the tokens of the conversations in `test` that count; those of `trained_on`, counted from 0, do not, as
    their prompts were trained on. `train` is asked for what was learned by heart.
    """
    say("scoring and asking the base model")
    model = base()
    small = model.num_parameters() <= SMALL
    held_out = _questions(test, MOST_ASKED if small else shown, frozenset(trained_on))
    trained = _questions(train, MOST_ASKED if small else 0)

    done, total = 0, 2 * (len(held_out) + len(trained))

    def told(count: int) -> None:
        nonlocal done
        done += count
        asked(done, total)

    def measured(model: Any) -> Any:
        answers = (answer_all(model, reads, questions, told) for questions in (held_out, trained))
        return score(model, reads.tokenizer, rows, batch), *answers

    (base_scores, base_items), base_held, base_trained = measured(model)
    del model
    say("scoring and asking the tuned model")
    (scores, items), tuned_held, tuned_trained = measured(tuned())
    overlap = said_of(len(trained_on)) if trained_on else ""
    warnings = tuple(filter(None, (loss_warning(base_scores.loss, scores.loss), overlap)))
    return EvaluationReport(
        base_scores,
        scores,
        conversations=len(rows),
        tokens=sum(count for count, _loss in items),
        held_out=_exact(held_out, base_held, tuned_held),
        trained=_exact(trained, base_trained, tuned_trained),
        answers=tuple(
            Answer(question["messages"][-2]["content"], question["messages"][-1]["content"], one, other)
            for question, one, other in islice(zip(held_out, base_held, tuned_held, strict=True), shown)
        ),
        warnings=warnings,
        items=tuple(
            ItemScores(count, one / max(count, 1), other / max(count, 1))
            for (count, one), (_count, other) in islice(zip(base_items, items, strict=True), MOST_ITEMS)
        ),
    )


def ask_both(
    base: Callable[[], Any],
    tuned: Callable[[], Any],
    reads: ChatTokenizer,
    questions: Sequence[Row],
    asked: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[Answer, ...]:
    """Return both models' answers to questions: conversations that end with the expected answer, or an empty one."""
    done = 0

    def told(count: int) -> None:
        nonlocal done
        done += count
        asked(done, 2 * len(questions))

    one, other = (answer_all(load(), reads, questions, told) for load in (base, tuned))
    return tuple(
        Answer(question["messages"][-2]["content"], question["messages"][-1]["content"], first, second)
        for question, first, second in zip(questions, one, other, strict=True)
    )


def _questions(path: Path, most: int, skipped: frozenset[int] = frozenset()) -> list[Row]:
    """Return conversations that end with an answer in words; what a tool is called with cannot be compared so."""
    with path.open("rb") as lines:
        taken = (orjson.loads(line) for number, line in enumerate(lines) if number not in skipped)
        spoken = (row for row in taken if row["messages"][-1]["role"] == "assistant" and row["messages"][-1]["content"])
        return list(islice(spoken, most))


def _exact(questions: Sequence[Row], base: Sequence[str], tuned: Sequence[str]) -> ExactAnswers:
    expected = [question["messages"][-1]["content"].strip() for question in questions]
    return ExactAnswers(
        len(expected),
        base=sum(one == other for one, other in zip(expected, base, strict=True)),
        tuned=sum(one == other for one, other in zip(expected, tuned, strict=True)),
    )
