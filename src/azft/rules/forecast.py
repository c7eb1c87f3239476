"""How many rows, steps and tokens a run will see, before it runs."""

from __future__ import annotations

import math

from attrs import frozen

from azft.domain.data import DataSettings
from azft.domain.forecast import Forecast
from azft.domain.model import Model
from azft.domain.parameters import Parameters
from azft.domain.pipelines import ACCUMULATION, BATCH, EPOCHS, first_of
from azft.rules.sampling import portion, share


@frozen
class Rows:
    """Rows of the source's splits; None where the source does not tell, or has no test split, as `split` says."""

    train: int | None
    test: int | None
    split: bool = False


def sequence_limit(model: Model, parameters: Parameters) -> int:
    """Return the longest sequence in tokens, 0 if it is not known."""
    limit = _whole(parameters, ("max_seq_length",)) or -1
    context = model.architecture.context if model.architecture else 0
    return min(limit, context) if limit > 0 and context else max(limit, context, 0)


def rows_in_a_step(parameters: Parameters, devices: int) -> int:
    """Return the rows of one optimizer step over all devices, 0 where the pipeline decides them by the model."""
    return _whole(parameters, BATCH) * (_whole(parameters, ACCUMULATION) or 1) * max(devices, 1)


def _whole(parameters: Parameters, names: tuple[str, ...]) -> int:
    """Return the value of the first of the names that is there, 0 where none has one."""
    name = first_of(names, parameters)
    return parameters.integer(name) if name and parameters[name] is not None else 0


def pack_length(parameters: Parameters) -> int | None:
    """Return the least length that conversations are packed to, 0 for the longest one; None where they are not."""
    if "packing" not in parameters or not parameters.flag("packing"):
        return None
    return max(parameters.integer("pack_length"), 0) if "pack_length" in parameters else 0


def forecast(
    rows: Rows, settings: DataSettings, parameters: Parameters, *, devices: int, packs: float = 1.0
) -> Forecast | None:
    """Return the steps of the run, `packs` packed rows for each row; None where the number of rows is not known.

    >>> from azft.domain.parameters import Resolved
    >>> values = (("per_device_train_batch_size", 4), ("gradient_accumulation_steps", 2), ("num_train_epochs", 3))
    >>> p = Parameters(tuple(Resolved(name, value, "user") for name, value in (*values, ("max_steps", -1))))
    >>> f = forecast(Rows(1000, 100), DataSettings(), p, devices=2)
    >>> f.train_rows, f.batch, f.steps_per_epoch, f.steps
    (900, 16, 57, 171)
    """
    if not rows.train:
        return None
    train = portion(rows.train, settings.percent)
    test = None if rows.test is None else portion(rows.test, settings.percent)
    if rows.test is None and not rows.split:
        test = share(train, settings.test)
        train -= test
    validation = share(train, settings.validation)
    return steps_of(train - validation, validation, parameters, devices=devices, packs=packs, test=test)


def steps_of(
    train: int, validation: int, parameters: Parameters, *, devices: int, packs: float = 1.0, test: int | None = None
) -> Forecast | None:
    """Return the steps that so many rows to train on take; None where the pipeline decides batch or epochs itself.

    >>> from azft.domain.parameters import Resolved
    >>> values = (("per_device_train_batch_size", 4), ("gradient_accumulation_steps", 1), ("num_train_epochs", 1))
    >>> p = Parameters(tuple(Resolved(name, value, "user") for name, value in (*values, ("max_steps", -1))))
    >>> steps_of(1000, 0, p, devices=1).steps, steps_of(1000, 0, p, devices=1, packs=0.25).steps
    (250, 63)
    """
    batch = rows_in_a_step(parameters, devices)
    limit, epochs = _whole(parameters, ("max_steps",)), _whole(parameters, EPOCHS)
    if not batch or (limit <= 0 and not epochs):
        return None
    per_epoch = max(1, math.ceil(train * packs / batch))
    steps = limit if limit > 0 else per_epoch * epochs
    return Forecast(train, validation, batch, per_epoch, steps, test_rows=test)
