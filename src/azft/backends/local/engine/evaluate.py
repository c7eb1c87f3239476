"""Stage 4: the base model and the tuned one on the same held-out conversations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from azft.backends.local.engine.answering import answer_all
from azft.backends.local.engine.context import StageContext
from azft.backends.local.engine.loading import load_model, load_tokenizer, quiet, set_threads
from azft.backends.local.engine.rows import read_rows
from azft.backends.local.engine.scoring import score
from azft.domain.evaluation import Answer, EvaluationReport, ExactAnswers
from azft.domain.jsonable import to_json
from azft.rules.metrics import loss_warning

SMALL = 20_000_000
"""Up to this many parameters every question can be asked; a larger model is asked only the shown ones."""
MOST_ASKED = 2000

Question = list[dict[str, str]]


def evaluate(context: StageContext, target: Path) -> None:
    """Write report.json: loss and token accuracy of both models, exact answers, and a few answers side by side."""
    quiet()
    parameters = context.job.parameters
    set_threads(parameters.integer("threads"), context.folder / "threads.txt")
    tokenizer = load_tokenizer(context.folder / "import")
    rows = read_rows(context.folder / "preprocess" / "test.safetensors")
    shown = parameters.integer("answers")
    base = load_model(context.folder / "import", trust_remote_code=context.trusted)
    small = base.num_parameters() <= SMALL
    held_out = _questions(context.job.data.test.path, MOST_ASKED if small else shown)
    trained = _questions(context.job.data.train.path, MOST_ASKED if small else 0)
    results = {}
    for name, model in (("base", base), ("tuned", tuned_model(context))):
        context.stop_if_canceled()
        context.events.say("log", f"scoring and asking the {name} model")
        scores, tokens = score(model, tokenizer, rows, parameters.integer("per_device_eval_batch_size"))
        results[name] = (scores, answer_all(model, tokenizer, held_out), answer_all(model, tokenizer, trained))
    (base_scores, base_held, base_trained), (scores, tuned_held, tuned_trained) = results["base"], results["tuned"]
    warning = loss_warning(base_scores.loss, scores.loss)
    report = EvaluationReport(
        base_scores,
        scores,
        conversations=len(rows),
        tokens=tokens,
        held_out=_exact(held_out, base_held, tuned_held),
        trained=_exact(trained, base_trained, tuned_trained),
        answers=tuple(
            Answer(question[-2]["content"], question[-1]["content"], one, other)
            for question, one, other in islice(zip(held_out, base_held, tuned_held, strict=True), shown)
        ),
        warnings=(warning,) if warning else (),
    )
    (target / "report.json").write_bytes(to_json(report))
    for said in report.warnings:
        context.events.say("warning", said)
    context.events.say("metrics", values={"base_loss": base_scores.loss, "tuned_loss": scores.loss})


def tuned_model(context: StageContext) -> Any:
    """Return the tuned model: merged as it was saved, or the base with the adapter merged in memory."""
    folder = context.folder / "finetune"
    if (folder / "model").exists():
        return load_model(folder / "model", trust_remote_code=context.trusted)
    from peft import PeftModel

    return PeftModel.from_pretrained(
        load_model(context.folder / "import", trust_remote_code=context.trusted), folder / "adapter"
    ).merge_and_unload()


def _questions(path: Path, most: int) -> list[Question]:
    with path.open("rb") as lines:
        return [orjson.loads(line)["messages"] for line in islice(lines, most)]


def _exact(questions: Sequence[Question], base: Sequence[str], tuned: Sequence[str]) -> ExactAnswers:
    expected = [question[-1]["content"].strip() for question in questions]
    return ExactAnswers(
        len(expected),
        base=sum(one == other for one, other in zip(expected, base, strict=True)),
        tuned=sum(one == other for one, other in zip(expected, tuned, strict=True)),
    )
