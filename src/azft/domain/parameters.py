"""Parameters with a memory: every value knows its source and what it displaced."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from attrs import field, frozen

from azft.domain.mappings import copied
from azft.views.description import Line, Table, View, Viewed

ParameterValue = bool | int | float | str | None
"""`None` means "leave it to the component": an optional input without a default."""


def shown(value: ParameterValue) -> str:
    """Return a value as the component writes it.

    >>> shown(True), shown(None), shown(2e-05)
    ('true', 'not set', '2e-05')
    """
    return "not set" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


@frozen
class Layer:
    """One source of parameter values, such as the user or the model's defaults."""

    source: str
    values: Mapping[str, ParameterValue] = field(converter=copied, factory=dict)


@frozen(repr=False)
class Resolved(Line):
    """One parameter: its value, where it came from, and the (source, value) pairs it displaced, strongest first."""

    name: str
    value: ParameterValue
    source: str
    displaced: tuple[tuple[str, ParameterValue], ...] = ()

    def view(self) -> View:
        """Describe it in one line."""
        said = f"{self.name} = {self.value!r}, from {self.source}"
        if self.displaced:
            said += "; displaced " + ", ".join(f"{value!r} from {source}" for source, value in self.displaced)
        return View("Parameter", said)


def displaced(entry: Resolved) -> str:
    """Return what a value took the place of, each with its source."""
    return ", ".join(f"{shown(value)} ({source})" for source, value in entry.displaced)


@frozen(repr=False)
class Parameters(Viewed, Mapping[str, ParameterValue]):
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

    def view(self) -> View:
        """Describe all of them, each with where it came from and what it displaced."""
        rows = [(e.name, shown(e.value), e.source, displaced(e)) for e in self.entries]
        table = Table("Parameters", ("parameter", "value", "source", "displaced"), tuple(rows))
        return View("Parameters", f"{len(self)} parameters", (table,))

    def flag(self, name: str) -> bool:
        """Return a true/false parameter; `TypeError` for one of another kind."""
        value = self[name]
        if value not in (True, False, "true", "false", None):
            raise TypeError(f"{name} is {value!r}, not true or false")
        return value is True or value == "true"

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
