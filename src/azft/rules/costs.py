"""What a run takes, in hours and in money, from the first plan on: a low and a high end, and what they rest on."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve, frozen

from azft.domain.compute import Compute
from azft.domain.findings import Finding, Severity
from azft.domain.forecast import Forecast, duration
from azft.domain.model import Model
from azft.domain.offers import Prices
from azft.domain.parameters import Parameters
from azft.domain.trainers import Trainer
from azft.rules.comparison import MODELS, Comparison, comparing
from azft.rules.devices import gpus_used
from azft.rules.forecast import sequence_limit
from azft.rules.memory import training_of
from azft.rules.quotas import LOW_PRIORITY
from azft.rules.throughput import LARGE, Published, operations, speeds, utilisation

RUN, COMPARISON = "the run", 'a comparison with where="cluster"'
MINUTE, HOUR = 60.0, 3600.0
START = (4 * MINUTE, 20 * MINUTE)
"""From no machine to a running job, its image included: users told of 3 to 5 minutes for a cluster, and of 10 and more
for a first job (azureml-examples, mslearn-azure-ml#58). It has no end where there is no capacity."""
STEPS = (4 * MINUTE, 20 * MINUTE)
"""The pipeline's four other steps, 1 to 5 minutes each. A judgement; nobody has published them."""
COPIED = (500e6, 50e6)
"""Bytes a second at which weights are copied to a machine, fast and slow."""
PADDED = 1.5
"""What padding may add where batches have several rows and nothing was counted."""
ANSWERS, EVALUATION_BATCH = "answers", "per_device_eval_batch_size"
"""The inputs of azft's engine that say how many questions are answered, and how many rows are read in one pass."""
SHOWN = 4
"""Questions that a comparison as a job of its own answers (azft.stages.judging)."""
WATCHED = "speed of earlier runs like it"


@frozen
class After:
    """What follows training in the same job: the steps of a pipeline, or the comparison of azft's own engine."""

    steps: bool = True
    comparison: Comparison | None = None


@frozen
class Work:
    """What there is to do: tokens in all, the mean of a row, on how many nodes, and what comes after."""

    tokens: float
    row: float
    nodes: int
    after: After = After()


def work_of(rows: int, tokens_per_row: float, nodes: int, limit: int, after: After | None = None) -> Work:
    """Return the work of so many rows; of a row longer than the model reads, the rest is cut off (`limit` 0: none).

    >>> work_of(10, 5_000.0, 1, 256).tokens
    2560
    """
    row = _cut(tokens_per_row, limit)
    return Work(rows * row, row, nodes, after or After())


def after_training(
    trainer: Trainer, model: Model, parameters: Parameters, *, tokens_per_row: float, rows: int | None
) -> After:
    """Return what follows in the same job: azft's engine and scripts compare on `rows`, a pipeline has its steps."""
    if not trainer.own:
        return After()
    if rows is None:
        return After(steps=False)
    row, batch = _cut(tokens_per_row, sequence_limit(model, parameters)), parameters.integer(EVALUATION_BATCH)
    return After(steps=False, comparison=Comparison(rows, row, parameters.integer(ANSWERS), batch))


def comparison_job(model: Model, *, tokens_per_row: float, rows: int | None) -> Comparison | None:
    """Return what a job of its own compares: rows as long as the model reads; None where nobody knows how many."""
    context = model.architecture.context if model.architecture else 0
    return None if rows is None else Comparison(rows, _cut(tokens_per_row, context), SHOWN)


def _cut(tokens: float, limit: int) -> float:
    return min(tokens, limit) if limit > 0 else tokens


def seconds_of(
    model: Model, parameters: Parameters, compute: Compute, work: Work, published: Iterable[Published]
) -> tuple[tuple[float, float], str] | None:
    """Return how long a run takes, low and high, with the ground of it; None where shape, GPU or data are not known."""
    shape = model.architecture
    if shape is None or not (compute.gpus and compute.peak and work.tokens):
        return None
    devices = gpus_used(parameters, compute) * work.nodes
    how = training_of(parameters, kind=shape.kind, devices=devices, sequence=int(work.row))
    lora = how.lora_rank > 0
    large = how.batch * work.row >= LARGE
    used = utilisation(compute.gpu, "LoRA" if lora else "full", published, large=large)
    per_token = operations(shape, lora=lora, sequence=work.row, checkpointing=how.checkpointing)
    slow, fast = speeds(used, per_token, peak=compute.peak, gpus=how.devices)
    padded = PADDED if how.batch > 1 else 1.0
    grounds = f"{used.grounds}; {_more(work.after)} included, queue not"
    training = work.tokens / fast, work.tokens * padded / slow
    return _whole_job(training, model, compute, work.after, published), grounds


def _more(after: After) -> str:
    """Say what is in the time of a job beside its training."""
    return f"start of machines{' and steps' if after.steps else ' and comparison' if after.comparison else ''}"


def paid(seconds: tuple[float, float] | None, hourly: float | None) -> tuple[float, float] | None:
    """Return what so many seconds cost, low and high; None where the time or the price is not known."""
    return None if seconds is None or hourly is None else (seconds[0] * hourly / HOUR, seconds[1] * hourly / HOUR)


def _whole_job(
    training: tuple[float, float], model: Model, compute: Compute, after: After, published: Iterable[Published]
) -> tuple[float, float]:
    """Return the time of training with that of the machines' start, the weights' copy, and what comes after."""
    parts = [training, START, _copied(model, 1)]
    if after.steps:
        parts.append(STEPS)
    if after.comparison and model.architecture and compute.gpus and compute.peak:
        parts.append(comparing(model.architecture, compute, after.comparison, published))
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def _copied(model: Model, times: int) -> tuple[float, float]:
    """Return the seconds in which the weights are copied to a machine."""
    size = 2.0 * model.architecture.parameters * times if model.architecture else 0.0
    return size / COPIED[0], size / COPIED[1]


def job_of_its_own(
    model: Model, compute: Compute, comparison: Comparison, published: Iterable[Published]
) -> tuple[float, float] | None:
    """Return the seconds of a comparison as a job of its own; None where shape or GPU are not known."""
    if model.architecture is None or not (compute.gpus and compute.peak):
        return None
    parts = (START, _copied(model, MODELS), comparing(model.architecture, compute, comparison, published))
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def costed(
    known: Forecast,
    model: Model,
    parameters: Parameters,
    compute: Compute,
    *,
    tokens_per_row: float,
    nodes: int,
    measured: tuple[float, float] | None,
    published: Iterable[Published],
    prices: Prices,
    after: After | None = None,
    comparison: Comparison | None = None,
) -> Forecast:
    """Return the forecast with its time and its cost, as far as they are known.

    `after` is what follows training in the job, and `comparison` what can be had as a job of its own.

    `measured` is the speed of earlier runs of the kind, slow and fast in tokens a second; it takes the place of what
    was published. Machines bill from when they are there, so their start is in the cost.
    """
    limit = sequence_limit(model, parameters)
    work = work_of(known.steps * known.batch, tokens_per_row, nodes, limit, after)
    price = None if compute.tier == LOW_PRIORITY else prices.of(compute.size)
    hourly = None if price is None else price * nodes
    label = prices.label if hourly is not None else ""
    rented = model.tuned_by_registry
    if measured is not None and work.tokens:
        seconds = (work.tokens / measured[1], work.tokens / measured[0])
        if rented:
            seconds = _whole_job(seconds, model, compute, work.after, published)
        basis = f"{WATCHED}; {_more(work.after)} estimated" if rented else WATCHED
        found: tuple[tuple[float, float], str] | None = (seconds, basis)
    else:
        found = seconds_of(model, parameters, compute, work, published) if rented else None
    if found is None:
        return evolve(known, hourly=hourly, label=label)
    seconds, basis = found
    more = job_of_its_own(model, compute, comparison, published) if comparison and rented else None
    return evolve(
        known,
        seconds=seconds,
        basis=basis,
        hourly=hourly,
        cost=paid(seconds, hourly),
        label=label,
        comparison=more,
        comparison_cost=paid(more, price),
    )


def limit_findings(
    limits: Iterable[tuple[str, float]], seconds: tuple[float, float] | None, *, what: str = RUN
) -> tuple[Finding, ...]:
    """Say where a run, or a comparison, takes longer than it may last; `limits` are in seconds, each with its name.

    >>> limit_findings([("job_timeout", 3600.0)], (7200.0, 9000.0))[0].severity
    'error'
    """
    if seconds is None:
        return ()
    low, high = seconds
    findings = []
    for name, limit in limits:
        if high > limit:
            found = f"{what} takes {duration(low)} to {duration(high)}, and is ended after {duration(limit)}"
            fix = "more GPUs or fewer epochs" if what == RUN else "a smaller percent= of the rows"
            fix += "; a longer limit where it is one's own"
            # A comparison is begun only where somebody wants it.
            severity: Severity = "error" if low > limit and what == RUN else "warning"
            findings.append(Finding("AZFT-T005", severity, name, found, f"at most {duration(limit)}", fix))
    return tuple(findings)


def budget_findings(budget: float | None, ahead: Forecast | None, subject: str) -> tuple[Finding, ...]:
    """Return whether a run stays within a budget, in the currency of the prices.

    >>> [f.code for f in budget_findings(5, Forecast(1, 1, 1, 1, 1, cost=(6, 9)), "cluster")]
    ['AZFT-B001']
    """
    if budget is None:
        return ()
    expected = f"at most {budget:,.2f}"
    if ahead is None or ahead.cost is None:
        why = "no price of the machine" if ahead is not None and ahead.seconds else "no speed, or no count of rows"
        return (Finding("AZFT-B003", "warning", subject, f"what it costs is not known: {why}", expected, _FIX),)
    low, high = ahead.cost
    found = f"it costs {ahead.pay}"
    if low > budget:
        return (Finding("AZFT-B001", "error", subject, found, expected, _CHEAPER),)
    return (Finding("AZFT-B002", "warning", subject, found, expected, _CHEAPER),) if high > budget else ()


_FIX = "give prices={SIZE: PRICE AN HOUR}, or watch one small run first"
_CHEAPER = "fewer rows (percent=), fewer epochs (num_train_epochs), or the first size of session.suggest()"
