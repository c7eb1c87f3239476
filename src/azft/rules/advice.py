"""Rank machine sizes for a job: what fits first, the cheapest first, and why each of the others lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from attrs import evolve

from azft.domain.compute import Compute, ComputeSize, Usage, machines
from azft.domain.model import Model
from azft.domain.offers import Advice, Fit, Prices, SizeOffer
from azft.domain.parameters import Parameters
from azft.rules.compute import compute_findings
from azft.rules.costs import Work, paid, seconds_of
from azft.rules.devices import gpus_used
from azft.rules.memory import host_memory, memory_estimate, row_length, training_of
from azft.rules.quotas import quota_findings
from azft.rules.throughput import Published

_BY_FIT: Mapping[Fit, int] = {"fits": 0, "tight": 1, "unknown": 2, "no": 3}


def advise(
    sizes: Iterable[ComputeSize],
    usage: Sequence[Usage],
    model: Model,
    parameters: Parameters,
    *,
    work: Work,
    prices: Prices,
    published: Iterable[Published] = (),
) -> Advice:
    """Return every size with GPUs, best first: by the cost of the whole job where it is known, else by that of an hour.

    A size without a price is ranked by its GPUs and cores, behind those with one.
    """
    rows = tuple(published)
    offers = []
    for size in sizes:
        if size.gpus:
            offer = _offer(size, usage, model, parameters, tokens=work.row, nodes=work.nodes)
            price = _times(prices.of(size.name), work.nodes)
            taken = seconds_of(model, parameters, machines(size.name, size, nodes=work.nodes), work, rows)
            seconds = None if taken is None else taken[0]
            hours, cost = paid(seconds, 1.0), paid(seconds, price)
            offers.append((evolve(offer, price=price, hours=hours, cost=cost), size))
    offers.sort(key=lambda pair: _rank(*pair))
    return Advice(tuple(offer for offer, _size in offers), prices.label)


def _times(price: float | None, nodes: int) -> float | None:
    return None if price is None else price * nodes


def _rank(offer: SizeOffer, size: ComputeSize) -> tuple[object, ...]:
    """Order by verdict, then price (those that have one first), then how much machine it is."""
    price = (offer.cost is None, sum(offer.cost or ()), offer.price is None, offer.price or 0.0)
    return (bool(offer.why_not), _BY_FIT[offer.fit], price, size.gpus, size.cores, size.name)


def _offer(
    size: ComputeSize, usage: Sequence[Usage], model: Model, parameters: Parameters, *, tokens: float, nodes: int
) -> SizeOffer:
    compute = machines(size.name, size, nodes=nodes)
    found = (*compute_findings(size.name, compute, model, nodes=nodes), *quota_findings(compute, usage, nodes=nodes))
    against = [finding.found for finding in found if finding.severity == "error"]
    fit, memory = _fit(model, parameters, compute, tokens, nodes)
    if fit == "no":
        against.append(f"needs {memory} GiB on each GPU, and there are {size.gpu_memory_gib:.0f}")
    host = _host(model, parameters, compute, nodes)
    if size.memory_gib and host > size.memory_gib:
        against.append(f"needs {host:.0f} GiB of host memory, and there are {size.memory_gib:.0f}")
    return SizeOffer(size.name, size.gpus, size.gpu, fit, memory, tuple(against))


def _host(model: Model, parameters: Parameters, compute: Compute, nodes: int) -> float:
    """Return the GiB of host memory that are taken at least."""
    if model.architecture is None:
        return 0.0
    shape, devices = model.architecture, gpus_used(parameters, compute) * nodes
    how = training_of(parameters, kind=shape.kind, devices=devices, sequence=1)
    return host_memory(shape, how, nodes=nodes)[0]


def _fit(model: Model, parameters: Parameters, compute: Compute, tokens: float, nodes: int) -> tuple[Fit, str]:
    if model.architecture is None or not compute.gpu_memory_gib:
        return "unknown", ""
    shape, devices = model.architecture, gpus_used(parameters, compute) * nodes
    how = training_of(parameters, kind=shape.kind, devices=devices, sequence=row_length(shape, parameters, tokens))
    estimate = memory_estimate(shape, how)
    return estimate.fit(compute.gpu_memory_gib), f"{estimate.low:.0f}-{estimate.high:.0f}"
