"""What a training is given, wherever it runs: a folder for everything, the parameters, and whom to tell."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from attrs import evolve, field, frozen

from azft.domain.jsonable import from_json, to_json
from azft.domain.parameters import Parameters
from azft.domain.splits import SPLITS
from azft.errors import ConfigurationError
from azft.files import write_whole
from azft.training.events import EventLog, Unheard

if TYPE_CHECKING:
    from azft.engine.rows import Rows
    from azft.training.group import Group

VARIABLE = "AZFT_TASK"
"""The environment variable with the path of the task's file."""
FILE = "task.json"


class CanceledError(Exception):
    """The user canceled the run."""


@frozen
class TaskFile:
    """What the file of a task holds; paths are those of the machine that trains."""

    model: Path
    tokens: Path
    data: Mapping[str, Path]
    checkpoints: Path
    output: Path
    events: Path
    cancel: Path
    parameters: Parameters
    key: str = ""
    trust_remote_code: bool = False


@frozen(eq=False)
class Task:
    """One training: the base model, the data, where checkpoints and the result go, the parameters, and whom to tell.

    `model` is the folder of the base model, `data` the prepared files by split (`train`, `validation`, `test`), one
    conversation a line, `checkpoints` where a training leaves what it goes on from, and `output` where `save` puts the
    result. `parameters` are the run's, and `key` a digest of all that decides what it makes. `rank` of `size`
    processes is this one; the first one speaks and writes for all.
    """

    file: TaskFile
    events: EventLog
    rank: int = 0
    size: int = 1
    heard: Callable[[], None] = field(default=lambda: None)

    @property
    def model(self) -> Path:
        """The folder of the base model."""
        return self.file.model

    @property
    def data(self) -> Mapping[str, Path]:
        """The prepared files by split."""
        return self.file.data

    @property
    def checkpoints(self) -> Path:
        """Where a training leaves what it goes on from."""
        return self.file.checkpoints

    @property
    def output(self) -> Path:
        """Where the result goes."""
        return self.file.output

    @property
    def parameters(self) -> Parameters:
        """The run's parameters."""
        return self.file.parameters

    @property
    def key(self) -> str:
        """The digest of all that decides what the run makes."""
        return self.file.key

    @property
    def first(self) -> bool:
        """Whether this process speaks and writes for all."""
        return self.rank == 0

    @property
    def canceled(self) -> bool:
        """Whether the user asked the run to stop."""
        return self.file.cancel.exists()

    def rows(self, split: str = "train") -> Iterator[dict[str, Any]]:
        """Yield the conversations of a split, one by one."""
        with self._of_split(self.data, split).open("rb") as lines:
            for line in lines:
                yield orjson.loads(line)

    def tokens(self, split: str = "train") -> Rows:
        """Return the token rows of a split, as the engine learns them: a dataset for torch, mapped from the disk.

        Each row is `{"input_ids": [...], "labels": [...]}`; a label is the id where it is learned, else -100.
        """
        from azft.engine.rows import read_rows

        places = {name: self.file.tokens / name for name in SPLITS if (self.file.tokens / name).is_dir()}
        return read_rows(self._of_split(places, split))

    def load_tokenizer(self) -> Any:
        """Return the base model's tokenizer."""
        from azft.engine.loading import load_tokenizer

        return load_tokenizer(self.model)

    def load_model(self, *, adapter: bool = True) -> Any:
        """Return the base model as the parameters say: in their precision, and with a LoRA adapter where they ask.

        Weights that are trained are kept in 32 bit. `adapter=False` leaves the adapter out.
        """
        from azft.training.loop import loaded_model

        return loaded_model(self, self.group, adapter=adapter)

    def trainer(
        self,
        model: Any,
        rows: Any = None,
        *,
        held_out: Any = None,
        loss: Any = None,
        callbacks: Sequence[Any] = (),
    ) -> Any:
        """Return transformers' Trainer for the model: azft's batches, sealed checkpoints, events, cancel.

        `rows` and `held_out` are the task's own unless others are given, and `loss(outputs, labels,
        num_items_in_batch)` the mean over the learned tokens of a step. `callbacks` are added to azft's.
        """
        from azft.training.loop import trainer_of

        return trainer_of(self, model, rows, held_out=held_out, loss=loss, callbacks=callbacks)

    def newest_checkpoint(self) -> str | None:
        """Return the newest whole checkpoint, as `Trainer.train(resume_from_checkpoint=)` takes it, or None.

        Whole is what `trainer` and `keep` wrote; what another library saves there is left alone, and not taken.
        """
        from azft.training import checkpoints

        there = self.first and self.checkpoints.exists()
        found = checkpoints.newest_whole(self.checkpoints, remove=False) if there else None
        agreed = self.group.agreed(found)
        return None if agreed is None else str(agreed)

    def keep(self, step: int, state: Mapping[str, Any]) -> None:
        """Keep what a loop of one's own goes on from after a kill: tensors, numbers and texts, as `torch.save` does.

        The first process writes, whole or not at all; the two newest are kept.
        """
        if self.first:
            from azft.training import checkpoints

            checkpoints.keep(self.checkpoints, step, state)
        self.group.wait()

    def kept(self) -> tuple[int, dict[str, Any]]:
        """Return the step and the state that were kept last; 0 and nothing where none were."""
        from azft.training import checkpoints

        found = self.newest_checkpoint()
        return (0, {}) if found is None else checkpoints.kept(Path(found))

    def report(self, *, step: int = 0, total: int = 0, **values: float) -> None:
        """Tell whoever watches the run some numbers, such as `report(step=3, total=10, loss=1.2)`."""
        self.events.say("progress" if "loss" in values else "metrics", step=step, total=total, values=values)
        self.heard()

    def say(self, message: str, *, warning: bool = False) -> None:
        """Tell whoever watches the run a line."""
        self.events.say("warning" if warning else "log", message)

    def stop_if_canceled(self) -> None:
        """Raise `CanceledError` if the user asked the run to stop."""
        if self.canceled:
            raise CanceledError

    def save(self, model: Any, tokenizer: Any = None) -> None:
        """Write the result, whole or not at all: an adapter is merged, and weights have the base model's own type.

        The model is changed so, and not fit to be trained on: this is the last call. The first process writes, and the
        others wait for it.
        """
        if self.first:
            from azft.training.saving import save

            save(self, model, tokenizer if tokenizer is not None else self.load_tokenizer())
        self.group.wait()

    @property
    def group(self) -> Group:
        """The processes that train together; asked for first, it joins them."""
        from azft.training.group import joined

        return joined(self.rank, self.size)

    def write(self, path: Path) -> Path:
        """Write the task to a file that `current_task` reads."""
        write_whole(path, to_json(self.file))
        return path

    def _of_split(self, places: Mapping[str, Path], split: str) -> Path:
        if split not in places:
            raise ConfigurationError(f"the task has no split {split!r}", hint=f"it has {', '.join(places)}")
        return places[split]


def current_task() -> Task:
    """Return the task of this process, as azft tells it by the environment.

    `ConfigurationError` in a program that azft did not start.
    """
    path = os.environ.get(VARIABLE, "")
    if not path:
        raise ConfigurationError(
            f"there is no task: {VARIABLE} is not set",
            hint="run the script through azft: FineTuneSession(..., trainer=azft.Script('train.py')).run()",
        )
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    task = read_task(Path(path))
    return evolve(task, rank=rank, size=size, events=task.events if rank == 0 else Unheard(task.file.events))


def read_task(path: Path) -> Task:
    """Return the task of a file."""
    try:
        file = from_json(TaskFile, path.read_bytes())
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} is no file of a task: {error}", hint="azft writes it for each run") from error
    events = EventLog(file.events)
    events.stage = "finetune"
    return Task(file, events)
