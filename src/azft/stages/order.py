"""What a job on other machines is to do, as the file that goes there with it."""

from __future__ import annotations

from pathlib import Path

from attrs import evolve, frozen

from azft.domain.data import DataFile, PreparedData
from azft.domain.job import Job
from azft.domain.trainers import Trainer

CODE = "script"
"""The folder of a script's code, within all code that goes there."""


@frozen
class Order:
    """A job, and the script that trains, by its path within its code, with its arguments; none for azft's engine.

    Nothing in it says where files are on the machine that wrote it.
    """

    job: Job
    script: str = ""
    arguments: tuple[str, ...] = ()


def order_of(job: Job) -> Order:
    """Return the order of a job; the same job gives the same order, whoever submits it."""
    script = job.trainer.script
    trainer = Trainer(job.trainer.name, sha256=job.trainer.sha256)
    plain = evolve(job, data=_moved(job.data, {}), trainer=trainer, tags={}, inputs={})
    return Order(plain) if script is None else Order(plain, script.name, script.arguments)


def job_at(order: Order, files: dict[str, Path], weights: Path) -> Job:
    """Return the job of an order on a machine where its files, by split, and its model are in these places."""
    return evolve(order.job, data=_moved(order.job.data, files), model=evolve(order.job.model, weights=str(weights)))


def _moved(data: PreparedData, files: dict[str, Path]) -> PreparedData:
    def at(file: DataFile, split: str) -> DataFile:
        return evolve(file, path=files.get(split, Path(f"{split}.jsonl")))

    return evolve(
        data,
        source="",
        tokenizer="",
        folder=Path(),
        train=at(data.train, "train"),
        validation=at(data.validation, "validation"),
        test=at(data.test, "test"),
    )
