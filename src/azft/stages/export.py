"""Stage 5: the tuned model as an MLflow model, and the run's story in the embedded MLflow store."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azft.domain.evaluation import EvaluationReport
from azft.domain.jsonable import from_json
from azft.engine.loading import load_tokenizer, quiet
from azft.files import share
from azft.stages.context import StageContext
from azft.stages.evaluate import tuned_model
from azft.stages.pictures import loss_curve
from azft.training.events import read_events
from azft.variables import OFFLINE


def export(context: StageContext, target: Path) -> None:
    """Write `model` (MLflow, task llm/v1/chat, merged weights) and loss.png, and tell of them."""
    quiet()
    merged = context.folder / "finetune" / "model"
    if not merged.exists():
        merged = target / "merged"
        tuned_model(context).save_pretrained(merged)
        load_tokenizer(context.folder / "import").save_pretrained(merged)
    as_mlflow(merged, target / "model", context.job.display_name)
    events = read_events(context.events.path)
    loss_curve(events, target / "loss.png")
    report = from_json(EvaluationReport, (context.folder / "evaluate" / "report.json").read_bytes())
    context.live.record(report, target)


def as_mlflow(weights: Path, target: Path, name: str) -> None:
    """Write a folder of weights with their tokenizer as an MLflow model for chat (task llm/v1/chat)."""
    import torch
    import transformers

    with warnings.catch_warnings(), _offline():
        warnings.simplefilter("ignore")  # MLflow warns of a type hint of its own.
        from mlflow.transformers import save_model

        requirements = [f"transformers=={transformers.__version__}", f"torch=={torch.__version__.split('+')[0]}"]
        save_model(str(weights), str(target), task="llm/v1/chat", pip_requirements=requirements)
    share(weights, target / "model")
    _name_the_model(target, name)


@contextmanager
def _offline() -> Iterator[None]:
    """Keep MLflow from looking for a model card of a local folder on the hub; who asks the hub afterwards may."""
    before = {name: os.environ.get(name) for name in OFFLINE}
    os.environ.update(OFFLINE)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _name_the_model(folder: Path, name: str) -> None:
    """Put the job's name where MLflow wrote this machine's path: it shows up in every answer of the model."""
    path = folder / "MLmodel"
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    key = "source_model_name:"
    path.write_text(
        "".join(f"{line.partition(key)[0]}{key} {name}\n" if key in line else line for line in lines), encoding="utf-8"
    )
