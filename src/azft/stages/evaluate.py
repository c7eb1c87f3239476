"""Stage 4: the base model and the tuned one on the same held-out conversations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azft.domain.jsonable import to_json
from azft.domain.run import QUESTION
from azft.engine.compare import compare
from azft.engine.loading import load_chat_tokenizer, load_model, quiet, set_threads
from azft.engine.rows import read_rows
from azft.stages.context import StageContext


def evaluate(context: StageContext, target: Path) -> None:
    """Write report.json: loss and token accuracy of both models, exact answers, and a few answers side by side."""
    quiet()
    parameters = context.job.parameters
    set_threads(parameters.integer("threads"), context.folder / "threads.txt")

    def say(step: str) -> None:
        context.stop_if_canceled()
        context.events.say("log", step)

    def asked(done: int, total: int) -> None:
        context.stop_if_canceled()
        context.events.say("progress", QUESTION, step=done, total=total)

    report = compare(
        lambda: load_model(context.folder / "import", trust_remote_code=context.trusted),
        lambda: tuned_model(context),
        load_chat_tokenizer(context.folder / "import", day=context.day),
        read_rows(context.folder / "preprocess" / "test"),
        trained_on=context.job.data.trained_on,
        test=context.job.data.test.path,
        train=context.job.data.train.path,
        batch=parameters.integer("per_device_eval_batch_size"),
        shown=parameters.integer("answers"),
        say=say,
        asked=asked,
    )
    (target / "report.json").write_bytes(to_json(report))
    for said in report.warnings:
        context.events.say("warning", said)
    context.events.say("metrics", values={"base_loss": report.base.loss, "tuned_loss": report.tuned.loss})


def tuned_model(context: StageContext) -> Any:
    """Return the tuned model: merged as it was saved, or the base with the adapter merged in memory."""
    folder = context.folder / "finetune"
    if (folder / "model").exists():
        return load_model(folder / "model", trust_remote_code=context.trusted)
    from peft import PeftModel

    return PeftModel.from_pretrained(
        load_model(context.folder / "import", trust_remote_code=context.trusted), folder / "adapter"
    ).merge_and_unload()
