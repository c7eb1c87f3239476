"""Lists a user picks from: models that can be tuned, and machine sizes to tune them on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import TYPE_CHECKING, Literal

from attrs import field, frozen

from azft.domain import tables
from azft.domain.card import Lifecycle, ModelCard
from azft.domain.mappings import copied

if TYPE_CHECKING:
    from rich.console import RenderableType


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


@frozen
class ModelList:
    """The models for one task, those that can be tuned first; `snapshot` is the day of facts that stood in."""

    task: str
    offers: tuple[ModelOffer, ...]
    snapshot: str = ""

    def __iter__(self) -> Iterator[ModelOffer]:
        return iter(self.offers)

    def __len__(self) -> int:
        return len(self.offers)

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def _parts(self) -> list[RenderableType]:
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
        return [tables.table(title, ("model", "version", "tuning", "smallest machine", "instead"), rows)]


Fit = Literal["fits", "tight", "unknown", "no"]


@frozen
class SizeOffer:
    """One machine size: whether the job fits, what speaks against it, and its price an hour for all nodes."""

    size: str
    gpus: int
    gpu: str
    fit: Fit
    memory: str
    why_not: tuple[str, ...] = ()
    price: float | None = None


@frozen
class Advice:
    """Machine sizes for one job, best first; `label` says what the prices are."""

    offers: tuple[SizeOffer, ...]
    label: str = ""

    @property
    def best(self) -> SizeOffer | None:
        """The first size that nothing speaks against, if there is one."""
        return next((offer for offer in self.offers if not offer.why_not), None)

    def __iter__(self) -> Iterator[SizeOffer]:
        return iter(self.offers)

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def _parts(self) -> list[RenderableType]:
        rows = [
            (
                offer.size,
                f"{offer.gpus} {offer.gpu}".strip(),
                offer.memory,
                "" if offer.price is None else f"{offer.price:.2f}",
                "; ".join(offer.why_not) or offer.fit,
            )
            for offer in self.offers
        ]
        return [
            tables.table(
                "Machine sizes" + (f" ({self.label})" if self.label else ""),
                ("size", "GPUs", "GiB each", "price/h", "verdict"),
                rows,
            )
        ]
