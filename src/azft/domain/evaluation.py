"""The base model against the tuned one, on the same conversations."""

from __future__ import annotations

import math

from attrs import frozen

from azft.domain import tables


@frozen
class Scores:
    """One model on held-out conversations: mean loss per learned token (nats), and the share of tokens it got right."""

    loss: float
    token_accuracy: float

    @property
    def perplexity(self) -> float:
        """The exponential of the loss; infinite when that overflows."""
        try:
            return math.exp(self.loss)
        except OverflowError:
            return math.inf


@frozen
class ExactAnswers:
    """How many of the questions asked were answered with exactly the expected words."""

    asked: int
    base: int
    tuned: int


@frozen
class Answer:
    """One question with the expected answer and both models' answers."""

    question: str
    expected: str
    base: str
    tuned: str


@frozen
class EvaluationReport:
    """What tuning changed, measured on conversations that were not trained on."""

    base: Scores
    tuned: Scores
    conversations: int
    tokens: int
    held_out: ExactAnswers
    trained: ExactAnswers
    answers: tuple[Answer, ...] = ()
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        numbers = [
            ("loss", f"{self.base.loss:.4f}", f"{self.tuned.loss:.4f}"),
            ("perplexity", f"{self.base.perplexity:,.2f}", f"{self.tuned.perplexity:,.2f}"),
            ("token accuracy", f"{self.base.token_accuracy:.1%}", f"{self.tuned.token_accuracy:.1%}"),
        ]
        for label, exact in (("held-out questions", self.held_out), ("trained questions", self.trained)):
            if exact.asked:
                numbers.append((f"exact answers, {label}", _share(exact.base, exact), _share(exact.tuned, exact)))
        parts = [
            tables.table(
                f"Evaluation on {self.conversations:,} held-out conversations, {self.tokens:,} tokens",
                ("", "base", "tuned"),
                numbers,
            )
        ]
        if self.answers:
            lines = [(a.question, a.expected, a.base, a.tuned) for a in self.answers]
            parts.append(tables.table("Answers side by side", ("question", "expected", "base", "tuned"), lines))
        if self.warnings:
            parts.append(tables.table("Warnings", ("",), [(warning,) for warning in self.warnings]))
        return tables.as_text(parts)


def _share(count: int, exact: ExactAnswers) -> str:
    return f"{count / exact.asked:.1%} ({count} of {exact.asked})"
