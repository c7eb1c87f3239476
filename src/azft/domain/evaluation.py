"""The base model against the tuned one, on the same conversations."""

from __future__ import annotations

import difflib
import math
import re

from attrs import frozen

from azft.views.description import Lines, Mark, Marked, Part, Table, View, Viewed


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
class ItemScores:
    """One held-out conversation: its learned tokens, and both models' mean loss on them."""

    tokens: int
    base: float
    tuned: float


@frozen
class OwnScores:
    """A measure of the user's own: the mean over the answers that were scored, of both models."""

    name: str
    scored: int
    base: float
    tuned: float


@frozen(repr=False)
class EvaluationReport(Viewed):
    """What tuning changed, measured on conversations that were not trained on.

    `items` are the conversations one by one, the first 5,000 of them in their order, and `own` are measures of the
    user's own. `answers` are a few of the held-out questions', or those to questions of the user's own.
    """

    base: Scores
    tuned: Scores
    conversations: int
    tokens: int
    held_out: ExactAnswers
    trained: ExactAnswers
    answers: tuple[Answer, ...] = ()
    warnings: tuple[str, ...] = ()
    items: tuple[ItemScores, ...] = ()
    own: tuple[OwnScores, ...] = ()

    def view(self) -> View:
        """Describe the comparison: the numbers, the answers side by side, and the warnings."""
        numbers = [
            ("loss", f"{self.base.loss:.4f}", f"{self.tuned.loss:.4f}"),
            ("perplexity", f"{self.base.perplexity:,.2f}", f"{self.tuned.perplexity:,.2f}"),
            ("token accuracy", f"{self.base.token_accuracy:.1%}", f"{self.tuned.token_accuracy:.1%}"),
        ]
        for label, exact in (("held-out questions", self.held_out), ("trained questions", self.trained)):
            if exact.asked:
                numbers.append((f"exact answers, {label}", _share(exact.base, exact), _share(exact.tuned, exact)))
        numbers += [
            (f"{measure.name}, {measure.scored:,} answers", f"{measure.base:.4g}", f"{measure.tuned:.4g}")
            for measure in self.own
        ]
        title = f"Evaluation on {self.conversations:,} held-out conversations, {self.tokens:,} tokens"
        parts: list[Part] = [Table(title, ("", "base", "tuned"), tuple(numbers))]
        if self.answers:
            lines = tuple((a.question, a.expected, *side_by_side(a.base, a.tuned)) for a in self.answers)
            parts.append(Table("Answers side by side", ("question", "expected", "base", "tuned"), lines))
        if self.warnings:
            parts.append(Lines(self.warnings, "Warnings"))
        moved = f"loss {self.base.loss:.3f} became {self.tuned.loss:.3f}"
        exact = self.held_out
        asked = f", {exact.tuned} of {exact.asked} answers exact (base {exact.base})" if exact.asked else ""
        return View("Base against tuned", moved + asked, tuple(parts))


def side_by_side(base: str, tuned: str) -> tuple[Marked, Marked]:
    """Return both texts with the words marked that the other does not have there.

    >>> side_by_side("it is red", "it is blue")[1].runs
    (('it is ', ''), ('blue', 'new'))
    """
    one, other = re.findall(r"\s*\S+\s*", base), re.findall(r"\s*\S+\s*", tuned)
    gone: list[tuple[str, Mark]] = []
    new: list[tuple[str, Mark]] = []
    for kind, a, b, c, d in difflib.SequenceMatcher(a=one, b=other, autojunk=False).get_opcodes():
        left: Mark = "" if kind == "equal" else "gone"
        right: Mark = "" if kind == "equal" else "new"
        if a < b:
            gone.append(("".join(one[a:b]), left))
        if c < d:
            new.append(("".join(other[c:d]), right))
    return Marked(tuple(gone)), Marked(tuple(new))


def _share(count: int, exact: ExactAnswers) -> str:
    return f"{count / exact.asked:.1%} ({count} of {exact.asked})"
