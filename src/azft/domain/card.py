"""A model card: what a registry says about tuning a model, each value with where it was found."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Generic, Literal, TypeVar

from attrs import frozen

from azft.domain.parameters import ParameterValue
from azft.views.description import Table, View, Viewed

T = TypeVar("T")


@frozen
class Fact(Generic[T]):
    """One value of a card. "unknown" is a state of its own and never means that anything goes.

    `source` says where the value was found, such as "tags finetune_compute_allow_list"; `raw` keeps the text of a
    value that is "unparsable".
    """

    value: T | None = None
    state: Literal["known", "unknown", "unparsable"] = "unknown"
    source: str = ""
    raw: str = ""

    @property
    def recommends(self) -> bool:
        """Whether the place is one of recommendations, which nobody has to follow."""
        return "recommended" in self.source.lower()

    def __str__(self) -> str:
        if self.state == "known":
            shown = ", ".join(map(str, self.value)) if isinstance(self.value, tuple | Mapping) else str(self.value)
            return shown or "nothing"
        return f"unparsable: {self.raw[:60]!r}" if self.state == "unparsable" else "unknown"


@frozen
class MinimumSize:
    """The smallest machine a model can be tuned on; memory and disk in GiB."""

    cores: int
    gpus: int
    memory_gib: int
    disk_gib: int

    def __str__(self) -> str:
        gpus = "GPU" if self.gpus == 1 else "GPUs"
        disk = f"{self.disk_gib} GiB disk" if self.disk_gib else "disk unknown"
        return f"{self.cores} cores, {self.gpus} {gpus}, {self.memory_gib} GiB memory, {disk}"


Lifecycle = Literal["current", "deprecated", "retired"]


@frozen(repr=False)
class ModelCard(Viewed):
    """What is known about tuning and deploying a model. `archived` is the registry's own mark."""

    tasks: Fact[tuple[str, ...]] = Fact()
    finetune_sizes: Fact[tuple[str, ...]] = Fact()
    inference_sizes: Fact[tuple[str, ...]] = Fact()
    minimum: Fact[MinimumSize] = Fact()
    defaults: Fact[Mapping[str, ParameterValue]] = Fact()
    deprecated: Fact[date] = Fact()
    retired: Fact[date] = Fact()
    archived: bool = False

    def lifecycle(self, day: date) -> Lifecycle:
        """Return whether the model can be tuned on that day; an archived one counts as retired."""
        if self.archived or (self.retired.value is not None and self.retired.value <= day):
            return "retired"
        return "deprecated" if self.deprecated.value is not None and self.deprecated.value <= day else "current"

    def facts(self) -> Mapping[str, Fact[object]]:
        """Return every fact by its name."""
        names = ("tasks", "finetune_sizes", "inference_sizes", "minimum", "defaults", "deprecated", "retired")
        return {name: getattr(self, name) for name in names}

    def view(self) -> View:
        """Describe every fact, with where it was found."""
        rows = [(name.replace("_", " "), str(fact), fact.source) for name, fact in self.facts().items()]
        known = sum(fact.state == "known" for fact in self.facts().values())
        table = Table("Model card", ("fact", "value", "found in"), tuple(rows))
        return View("Model card", f"{known} of {len(rows)} facts known", (table,))
