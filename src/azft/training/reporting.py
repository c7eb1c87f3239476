"""Tell the event log what training does, seal its checkpoints, and stop when asked."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_utils import SaveStrategy

from azft.domain.run import EventKind
from azft.training import checkpoints
from azft.training.group import Group
from azft.training.task import Task


class RunReporter(TrainerCallback):
    """Writes progress with loss and speed; speed counts real tokens, padding is not work.

    `mean_tokens` are those of a row, which is a pack of conversations where they are packed.
    """

    def __init__(self, task: Task, group: Group, *, mean_tokens: float) -> None:
        self._task = task
        self._group = group
        self._mean_tokens = mean_tokens
        self._since = (0, 0.0)
        self._saved = time.monotonic()
        self._between = False
        self._canceled = False
        self._every = 60 * task.parameters.number("save_minutes")

    def on_train_begin(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Start the clock."""
        self._since = (state.global_step, time.monotonic())

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Stop where the user asked for it, and save where the last checkpoint is long ago."""
        due = bool(self._every) and time.monotonic() - self._saved >= self._every
        canceled, due = self._group.agreed((self._task.canceled, due))
        if canceled:
            control.should_training_stop = True
            self._canceled = True
        # The end of an epoch has a checkpoint of its own, behind its evaluation; one before would skip that.
        ends = args.save_strategy == SaveStrategy.EPOCH and state.epoch == round(state.epoch or 0)
        self._between = due and not control.should_save and not ends
        if self._between:
            control.should_save = True

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **_: Any,
    ) -> None:
        """Append the numbers to the event log."""
        values = {name: float(value) for name, value in (logs or {}).items() if isinstance(value, int | float)}
        begun, clock = self._since
        elapsed = time.monotonic() - clock
        if "loss" in values and elapsed > 0:
            rows = (
                (state.global_step - begun) * args.train_batch_size * args.gradient_accumulation_steps * args.world_size
            )
            values["tokens_per_second"] = rows * self._mean_tokens / elapsed
        kind: EventKind = "progress" if "loss" in values else "metrics"
        self._task.events.say(kind, step=state.global_step, total=state.max_steps, values=values)
        self._task.heard()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **_: Any) -> None:
        """Seal the checkpoint, and drop older ones."""
        self._saved = time.monotonic()
        self._group.wait()
        if not self._group.first:
            return
        if self._canceled:
            return  # It would say that the training was over.
        working = Path(str(args.output_dir))
        saved = working / f"checkpoint-{state.global_step}"
        if self._between:
            checkpoints.mark_between(saved)
            self._between = False
        checkpoints.seal(saved)
        checkpoints.prune_between(working, state.best_model_checkpoint)
        limit = self._task.parameters.integer("save_total_limit")
        if limit > 0:
            checkpoints.prune(working, limit, state.best_model_checkpoint)
