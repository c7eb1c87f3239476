"""What a value says of itself, free of any way to draw it: a title, one line, and parts in order."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from attrs import field, frozen

from azft.escapes import visible

Mark = Literal["", "learned", "new", "gone"]


@frozen
class Marked:
    """Text in runs, each with what it is: learned by the model, new beside another text, or gone from it."""

    runs: tuple[tuple[str, Mark], ...]

    @property
    def plain(self) -> str:
        """The text alone."""
        return "".join(text for text, _mark in self.runs)


@frozen
class Bar:
    """An amount as a bar: `share` of the longest (0 to 1), and the same in words; `over` is beyond a limit."""

    share: float
    text: str = ""
    over: bool = False


@frozen
class Link:
    """A file to open, by its address."""

    text: str
    address: str


Cell = str | Marked | Bar | Link


def _rows(rows: Iterable[Sequence[Cell]]) -> tuple[tuple[Cell, ...], ...]:
    return tuple(tuple(row) for row in rows)


def _lines(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(lines)


@frozen
class Table:
    """Rows of cells under column names; without any name there is no head."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...] = field(converter=_rows)
    note: str = ""


@frozen
class Lines:
    """Sentences, one a line, which are never wrapped as text."""

    lines: tuple[str, ...] = field(converter=_lines)
    title: str = ""


@frozen
class Histogram:
    """How often amounts occur: (from, up to but not with, count); `limit` 0 means that there is none."""

    title: str
    alt: str
    bins: tuple[tuple[int, int, int], ...]
    unit: str = ""
    counted: str = "rows"
    limit: int = 0
    limit_name: str = ""


@frozen
class Curves:
    """Lines over steps, by name: points of (step, value)."""

    title: str
    alt: str
    lines: Mapping[str, tuple[tuple[float, float], ...]]
    across: str = "step"


@frozen
class More:
    """Parts that are shown on demand: folded in HTML, and as text one line that says how to see them."""

    title: str
    parts: tuple[Part, ...]
    hint: str = ""


Part = Table | Lines | Histogram | Curves | More


def _parts(parts: Iterable[Part]) -> tuple[Part, ...]:
    return tuple(parts)


@frozen
class View:
    """One value: what it is, one line about it, and its parts."""

    title: str
    summary: str = field(converter=visible)
    parts: tuple[Part, ...] = field(default=(), converter=_parts)


def facts(title: str, rows: Iterable[tuple[str, Cell]]) -> Table:
    """Return a table of labels and what they say."""
    return Table(title, ("", ""), rows)


class Viewed(ABC):
    """A value that describes itself; printing, a notebook's cell and the command line all go by it.

    `str()` is text that fits the terminal and has no effect; `repr()` is one short line.
    """

    __slots__ = ()

    @abstractmethod
    def view(self) -> View:
        """Describe the value."""

    def __str__(self) -> str:
        from azft.views.text import as_text

        return as_text(self.view())

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.view().summary}>"

    def _repr_html_(self) -> str:
        from azft.views.html import as_html

        return as_html(self.view())


class Line(Viewed):
    """A value whose text is its one line, and whose parts are for a notebook."""

    __slots__ = ()

    def __str__(self) -> str:
        from azft.views.text import as_line

        return as_line(self.view())
