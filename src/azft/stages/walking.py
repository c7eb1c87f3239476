"""The stages in their order, each done once: what a run has done already is not done again."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from azft.domain.trainers import SCRIPT
from azft.files import whole_folder
from azft.stages.context import StageContext

STAGES = ("import", "preprocess", "finetune", "evaluate", "export")
Stage = Callable[[StageContext, Path], None]


def do(name: str, context: StageContext, stage: Stage | None = None) -> None:
    """Do a stage, unless its folder is there; `stage` takes the place of its usual work."""
    final = context.folder / name
    context.events.stage = name
    if final.exists():
        return
    context.stop_if_canceled()
    context.events.say("stage", "started")
    started = time.monotonic()
    with whole_folder(final) as target:
        work = stage or _stage(SCRIPT if name == "finetune" and context.job.trainer.script else name)
        work(context, target)
    context.events.say("stage", "done", values={"seconds": round(time.monotonic() - started, 2)})
    context.live.update(now=True)


def _stage(name: str) -> Stage:
    """Import a stage only when it is reached: a resumed run does not pay for stages that are done."""
    if name == "import":
        from azft.stages.importing import import_model as stage
    elif name == "preprocess":
        from azft.stages.preprocess import preprocess as stage
    elif name == "finetune":
        from azft.stages.finetune import finetune as stage
    elif name == SCRIPT:
        from azft.stages.scripted import run_script as stage
    elif name == "evaluate":
        from azft.stages.evaluate import evaluate as stage
    else:
        from azft.stages.export import export as stage
    return stage
