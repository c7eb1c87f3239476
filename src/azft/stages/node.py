"""One process of a job on other machines: `python -m azft.stages.node`, started once a device by whoever runs the job.

Each machine brings the model to its own disk and makes tokens of the data; all processes train together; the first one
evaluates, and writes the results where the job keeps them.
"""

from __future__ import annotations

import argparse
import logging
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from attrs import frozen

from azft.domain.jsonable import from_json
from azft.domain.splits import SPLITS
from azft.errors import ConfigurationError
from azft.stages.context import StageContext, Untracked
from azft.stages.mirror import Mirror, bring_back
from azft.stages.order import CODE, Order, job_at
from azft.stages.reasons import tell
from azft.stages.relay import Relay
from azft.stages.scripted import ScriptFailedError, keep_saved
from azft.stages.walking import do
from azft.training.events import EventLog, Unheard
from azft.training.task import FILE, VARIABLE
from azft.variables import OFFLINE, QUIET

WORK = "azft-run"
"""The folder of the machine's own disk that a run works in, below where it is started."""
READY = "ready"
WITHOUT_GPUS = "AZFT_WITHOUT_GPUS"
"""The variable, 1, where a machine may have no GPU though its size has: the emulator sets it."""
LOOK = 0.2
PLACES = ("order", "model", *SPLITS, "checkpoints", "tuned", "report")
"""What a job tells each of its processes: files and folders that it reads, and folders that it keeps."""


@frozen
class Rank:
    """Which of all processes this is, and which of its machine."""

    number: int
    size: int
    local: int
    of_machine: int

    @classmethod
    def here(cls, of_machine: int) -> Rank:
        """Return that of this process, from the variables that torch's launchers and Azure ML set alike."""
        number, size, local = (
            int(os.environ.get(name) or otherwise)
            for name, otherwise in (("RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_RANK", 0))
        )
        return cls(number, size, local, of_machine)

    @property
    def first(self) -> bool:
        """Whether it speaks and writes for all."""
        return self.number == 0


def main(words: Sequence[str]) -> None:
    """Do this process's part of the job."""
    parser = argparse.ArgumentParser(prog="azft.stages.node")
    for name in PLACES:
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=1, help="on each machine")
    given = parser.parse_args(words)
    rank = Rank.here(given.processes)
    _set_up(rank)
    places = {name: Path(getattr(given, name)).absolute() for name in PLACES}
    try:
        _Node(places, rank).work()
    except ScriptFailedError:
        _leave(1)  # What it said last is the cause, and stays the last that the log says.
    except Exception as error:  # noqa: BLE001 - whatever it is, the job's log has to say it
        tell(error)
        _leave(1)
    _leave(0)


def _set_up(rank: Rank) -> None:
    """Set the variables that libraries look at: nothing asks a hub or tells on us, and one process is no group."""
    os.environ.update(QUIET | OFFLINE)
    # Of what it says each time, such as a licence that it cannot look up, nobody who watches can make use.
    logging.getLogger("mlflow.transformers").setLevel(logging.ERROR)
    if rank.size > 1:
        # accelerate sets another number of threads where this is missing; ours is set after it.
        os.environ.update(LOCAL_WORLD_SIZE=str(rank.of_machine), OMP_NUM_THREADS="1")
        return
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"):
        os.environ.pop(name, None)


def _leave(code: int) -> None:
    """End at once: an orderly exit would wait for processes that wait for this one, and may meet threads of theirs."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


class _Node:
    """The part of one process."""

    def __init__(self, places: dict[str, Path], rank: Rank) -> None:
        self._places = places
        self._rank = rank
        self._order = from_json(Order, places["order"].read_bytes())
        self._code = Path.cwd()
        self._folder = self._code / WORK
        self._folder.mkdir(exist_ok=True)
        path = self._folder / "events.jsonl"
        self._events = EventLog(path) if rank.first else Unheard(path)

    def work(self) -> None:
        """Prepare the machine, train, and as the first process evaluate and write the results."""
        with ExitStack() as stack:
            relay = stack.enter_context(Relay(self._events)) if self._rank.first else Untracked()
            context = self._context(relay)
            if self._rank.local == 0:
                self._prepare(context)
            else:
                self._wait()
            working = context.task.checkpoints
            mirror = Mirror(working, self._places["checkpoints"], lambda said: self._events.say("warning", said))
            if not self._rank.first:
                self._train(context, None)
                return
            with mirror:
                do("finetune", context, self._train)
            do("evaluate", context)
            do("export", context)
            self._keep()
            mirror.clear()

    def _context(self, live: Relay | Untracked) -> StageContext:
        files = {split: self._places[split] for split in SPLITS}
        weights = self._folder / "model"
        return StageContext(
            self._folder, self._folder / "weights", job_at(self._order, files, weights), self._events, live
        )

    def _prepare(self, context: StageContext) -> None:
        """Bring model, tokens and checkpoints to this machine."""
        from azft.engine.weights import plain_model

        self._check_gpus()
        if not context.job.model.stand_in:
            plain_model(self._places["model"], self._folder / "model")
        do("import", context)
        do("preprocess", context)
        working = context.task.checkpoints
        working.mkdir(exist_ok=True)
        bring_back(self._places["checkpoints"], working)
        context.task.write(self._folder / FILE)
        (self._folder / READY).touch()

    def _check_gpus(self) -> None:
        """Refuse to train on the processor of a machine whose GPUs are paid for."""
        import torch

        expected = self._order.job.compute.gpus
        if expected and not torch.cuda.is_available() and os.environ.get(WITHOUT_GPUS) != "1":
            raise ConfigurationError(
                f"torch {torch.__version__} sees none of the machine's {expected} GPUs",
                hint="leave job_environment out, or give one with a torch for GPUs that the machine's driver can run",
            )

    def _wait(self) -> None:
        """Wait for the process that prepares this machine; where it fails, all end with it."""
        while not (self._folder / READY).exists():
            time.sleep(LOOK)

    def _train(self, context: StageContext, target: Path | None) -> None:
        if self._order.script:
            self._run_script()
            if target is not None:
                keep_saved(context, self._order.script, target)
            return
        # Imported when the variables are set that it looks at.
        from azft.stages.finetune import finetune, finetune_together

        if self._rank.size > 1:
            finetune_together(context, self._rank.number, self._rank.size, target)
        elif target is not None:
            finetune(context, target)

    def _run_script(self) -> None:
        """Run the user's script as this process's part; what it prints is in the job's log."""
        path = self._code / CODE / self._order.script
        found = [str(self._code), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            # A script of the user's may want something of a hub.
            **{name: value for name, value in os.environ.items() if name not in OFFLINE},
            VARIABLE: str(self._folder / FILE),
            "PYTHONPATH": os.pathsep.join(found),
        }
        command = [sys.executable, "-u", str(path), *self._order.arguments]
        code = subprocess.call(command, cwd=self._code / CODE, env=environment)
        if code < 0:
            sys.stderr.write(f"{self._order.script} was ended by signal {-code}\n")
        if code:
            raise ScriptFailedError

    def _keep(self) -> None:
        """Put the results where the job keeps them."""
        _copied(self._folder / "export" / "model", self._places["tuned"])
        report = self._places["report"]
        report.mkdir(parents=True, exist_ok=True)
        for path in (self._folder / "evaluate" / "report.json", self._folder / "export" / "loss.png"):
            shutil.copyfile(path, report / path.name)


def _copied(source: Path, target: Path) -> None:
    """Copy a folder's files; a mount of cloud storage keeps neither times nor rights."""
    for path in sorted(source.rglob("*")):
        place = target / path.relative_to(source)
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True)
        else:
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


if __name__ == "__main__":
    main(sys.argv[1:])
