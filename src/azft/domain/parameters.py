"""Parameters with a memory: every value knows its source and what it displaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from attrs import field, frozen

from azft.domain import tables
from azft.domain.mappings import copied

if TYPE_CHECKING:
    from rich.console import RenderableType

ParameterValue = bool | int | float | str | None
"""`None` means "leave it to the component": an optional input without a default."""


@frozen
class Layer:
    """One source of parameter values, such as the user or the model's defaults."""

    source: str
    values: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)


@frozen
class Resolved:
    """One parameter: its value, where it came from, and the (source, value) pairs it displaced, strongest first."""

    name: str
    value: ParameterValue
    source: str
    displaced: tuple[tuple[str, ParameterValue], ...] = ()

    def __str__(self) -> str:
        said = f"{self.name} = {self.value!r}, from {self.source}"
        if self.displaced:
            said += "; displaced " + ", ".join(f"{value!r} from {source}" for source, value in self.displaced)
        return said


@frozen
class Parameters(Mapping[str, ParameterValue]):
    """All parameters of a job: a read-only mapping from name to value, with provenance.

    >>> p = Parameters((Resolved("seed", 7, "user", (("component defaults", 42),)),))
    >>> p["seed"], str(p.explain("seed"))
    (7, 'seed = 7, from user; displaced 42 from component defaults')
    """

    entries: tuple[Resolved, ...] = ()

    def __getitem__(self, name: str) -> ParameterValue:
        return self.explain(name).value

    def __iter__(self) -> Iterator[str]:
        return (entry.name for entry in self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def explain(self, name: str) -> Resolved:
        """Return the value of `name` with its source and what it displaced; `KeyError` if there is none."""
        for entry in self.entries:
            if entry.name == name:
                return entry
        raise KeyError(name)

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def _parts(self) -> list[RenderableType]:
        rows = [(e.name, str(e.value), e.source, ", ".join(f"{v} ({s})" for s, v in e.displaced)) for e in self.entries]
        return [tables.table("Parameters", ("parameter", "value", "source", "displaced"), rows)]

    def flag(self, name: str) -> bool:
        """Return a true/false parameter."""
        return bool(self[name])

    def integer(self, name: str) -> int:
        """Return a whole-number parameter."""
        value = self[name]
        if not isinstance(value, int):
            raise TypeError(f"{name} is {value!r}, not a whole number")
        return value

    def number(self, name: str) -> float:
        """Return a numeric parameter as a float."""
        value = self[name]
        if not isinstance(value, int | float):
            raise TypeError(f"{name} is {value!r}, not a number")
        return float(value)

    def text(self, name: str) -> str:
        """Return a text parameter; an absent one is empty."""
        value = self[name]
        return "" if value is None else str(value)
