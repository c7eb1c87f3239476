"""Lists a user picks from: models that can be tuned, and machine sizes to tune them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Literal

from attrs import field, frozen

from azft.domain.card import Lifecycle, ModelCard
from azft.domain.mappings import copied
from azft.views.description import More, Part, Table, View, Viewed


@frozen
class Prices:
    """What one node costs for an hour, by machine size; `label` names the currency, the place and the day."""

    an_hour: Mapping[str, float] = field(converter=copied, factory=dict)
    label: str = ""

    def of(self, size: str) -> float | None:
        """Return the price of a size, whatever its case; None if there is none."""
        folded = {name.lower(): price for name, price in self.an_hour.items()}
        return folded.get(size.lower())


@frozen
class ModelOffer:
    """One model by name, its card, where it stands today, and what to take in its place if it is at its end."""

    name: str
    version: str
    card: ModelCard
    lifecycle: Lifecycle
    instead: tuple[str, ...] = ()

    @property
    def ends(self) -> date | None:
        """The day its fine-tuning ends or ended, if the registry names one."""
        return self.card.retired.value


@frozen(repr=False)
class ModelList(Viewed):
    """The models for one task, those that can be tuned first; `snapshot` is the day of facts that stood in."""

    task: str
    offers: tuple[ModelOffer, ...]
    snapshot: str = ""

    def __iter__(self) -> Iterator[ModelOffer]:
        return iter(self.offers)

    def __len__(self) -> int:
        return len(self.offers)

    def view(self) -> View:
        """Describe the list as a table."""
        rows = [
            (
                offer.name,
                offer.version,
                offer.lifecycle + (f" {offer.ends}" if offer.ends else ""),
                str(offer.card.minimum),
                ", ".join(offer.instead),
            )
            for offer in self.offers
        ]
        title = f"Models for {self.task}" + (f", as of {self.snapshot}" if self.snapshot else "")
        table = Table(title, ("model", "version", "tuning", "smallest machine", "instead"), tuple(rows))
        return View(title, f"{len(self)} models for {self.task}", (table,))


Fit = Literal["fits", "tight", "unknown", "no"]


@frozen
class SizeOffer:
    """One machine size: whether the job fits, what speaks against it, and its price an hour for all nodes.

    `hours` and `cost` are those of the whole job, low and high; None where they are not known.
    """

    size: str
    gpus: int
    gpu: str
    fit: Fit
    memory: str
    why_not: tuple[str, ...] = ()
    price: float | None = None
    hours: tuple[float, float] | None = None
    cost: tuple[float, float] | None = None


@frozen(repr=False)
class Advice(Viewed):
    """Machine sizes for one job, best first; `label` says what the prices are."""

    offers: tuple[SizeOffer, ...]
    label: str = ""

    @property
    def best(self) -> SizeOffer | None:
        """The first size that nothing speaks against, if there is one."""
        return next((offer for offer in self.offers if not offer.why_not), None)

    def __iter__(self) -> Iterator[SizeOffer]:
        return iter(self.offers)

    def view(self) -> View:
        """Describe the sizes as a table."""
        able = [offer for offer in self.offers if not offer.why_not]
        others = tuple((offer.size, "; ".join(offer.why_not)) for offer in self.offers if offer.why_not)
        columns = ("size", "GPUs", "GiB each", "price/h", "hours", "cost", "verdict")
        title = "Machine sizes" + (f" ({self.label})" if self.label else "")
        parts: list[Part] = [Table(title, columns, [_row(offer) for offer in able])] if able else []
        unfit = Table("" if able else title, ("size", "why not"), others)
        if others and able:
            parts.append(More(f"{len(others)} sizes that will not do", (unfit,), "see their why_not"))
        elif others:
            parts.append(unfit)
        if not self.offers:
            return View(title, "this backend offers no sizes with GPUs")
        best = self.best.size if self.best else "none of them will do"
        return View(title, f"{len(self.offers)} sizes, best: {best}", parts)


def _row(offer: SizeOffer) -> tuple[str, ...]:
    return (
        offer.size,
        f"{offer.gpus} {offer.gpu}".strip(),
        offer.memory,
        "" if offer.price is None else f"{offer.price:.2f}",
        "" if offer.hours is None else f"{offer.hours[0]:.1f} to {offer.hours[1]:.1f}",
        "" if offer.cost is None else f"{offer.cost[0]:,.0f} to {offer.cost[1]:,.0f}",
        offer.fit,
    )
