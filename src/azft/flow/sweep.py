"""Find what azft made, with its ledger or without, and delete what is not needed any more."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from attrs import evolve

from azft.domain.offers import Prices
from azft.domain.resource import Leftover, Leftovers, Resource, ResourceKind, SweepReport
from azft.errors import AzftError, InUseError, NotOursError
from azft.ports import Disposer
from azft.snapshot import list_prices


def find_leftovers(
    backend: Disposer, recorded: Collection[Resource] | None = None, *, prices: Mapping[str, float] | None = None
) -> Leftovers:
    """Return what carries azft's marks at the backend, what costs most first; `prices` are for one node and hour."""
    known = list_prices() if prices is None else Prices(prices)
    found = [
        evolve(item, price=_price(item, known), recorded=None if recorded is None else item.resource in recorded)
        for item in backend.leftovers()
    ]
    return Leftovers(sorted(found, key=lambda item: (-(item.price or 0.0), -item.count, str(item.resource))))


def sweep(
    backend: Disposer,
    *,
    delete: bool = False,
    stop_runs: bool = False,
    models: bool = False,
    kinds: Collection[ResourceKind] = (),
    prices: Mapping[str, float] | None = None,
) -> SweepReport:
    """Find everything of azft's at a backend by its marks, and with `delete` take it away; dry without.

    Runs that have not ended stay unless `stop_runs`, registered models unless `models`. `kinds` takes only some kinds
    of things. No ledger is needed, so what a lost folder knew is found too; what somebody else made is never listed.
    """
    found = tuple(item for item in find_leftovers(backend, prices=prices) if not kinds or item.resource.kind in kinds)
    deleted: list[Resource] = []
    kept: list[tuple[Resource, str]] = []
    failed: list[tuple[Resource, str]] = []
    for item in sorted(found, key=lambda item: _ORDER.index(item.resource.kind)) if delete else ():
        if item.running and not stop_runs:
            kept.append((item.resource, "it has not ended; stop_runs=True stops it"))
        elif item.resource.kind == "model" and not models:
            kept.append((item.resource, "it is a result; models=True deletes it too"))
        else:
            try:
                backend.delete(item.resource)
            except (NotOursError, InUseError) as error:
                kept.append((item.resource, error.message))
            except AzftError as error:
                failed.append((item.resource, str(error)))
            else:
                deleted.append(item.resource)
    return SweepReport(found, tuple(deleted), tuple(kept), tuple(failed))


_ORDER: tuple[ResourceKind, ...] = ("deployment", "endpoint", "run", "compute", "upload", "data", "model")
"""Runs before what they need."""


def _price(item: Leftover, prices: Prices) -> float | None:
    """Return what its machines cost for an hour; nothing where it holds none, None where that is not known."""
    if not item.size:
        return item.price
    if not item.count:
        return 0.0
    one = prices.of(item.size)
    return None if one is None else one * item.count
