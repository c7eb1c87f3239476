"""What a good row is for a task other than chat: its columns, what they hold, and what else must be true of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from attrs import field, frozen

from azft.domain.mappings import copied
from azft.domain.pipelines import AS_IS, CHAT_ROWS
from azft.errors import ConfigurationError

Holds = Literal["text", "label", "texts", "record"]
"""What a cell may be: a text that is not blank; a label (a text or a whole number); a list of texts; an object."""


def _names(given: str | Iterable[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


@frozen
class Column:
    """A column of a row format: its name, what it holds, and whether a row may be without it.

    A record has `parts`, each a list, all of one length.
    """

    name: str
    holds: Holds = "text"
    optional: bool = False
    parts: tuple[str, ...] = field(default=(), converter=_names)


def _columns(given: Iterable[Column]) -> tuple[Column, ...]:
    return tuple(given)


@frozen
class RowFormat:
    """What a good row of a task is.

    `columns` are those that are kept. `asks` are the ones that the model sees: rows that ask the same stay on one side
    when the data is divided, and the other columns are the answer. `check(row)` returns what else is wrong with a row,
    or nothing. `keys` are inputs of pipelines that name a column or a part of one, each with what it names. `least` is
    how many rows to train on a pipeline wants, and `classes` the column whose values are the classes: two or more, and
    all of one type.
    """

    name: str
    columns: tuple[Column, ...] = field(default=(), converter=_columns)
    asks: tuple[str, ...] = field(default=(), converter=_names)
    check: Callable[[Mapping[str, Any]], str] | None = None
    keys: Mapping[str, str] = field(converter=copied, factory=dict)
    least: int = 1
    classes: str = ""

    def __attrs_post_init__(self) -> None:
        names = [column.name for column in self.columns]
        if self.name in {CHAT_ROWS, AS_IS}:
            return
        if not names or len(set(names)) < len(names):
            raise ConfigurationError(
                f"row format {self.name!r} has the columns {names}", hint="give it one column or more, each once"
            )
        parts = [part for column in self.columns for part in column.parts]
        one = [self.classes] if self.classes else []
        for what, used, known in (("asks", self.asks, names), ("keys", self.keys.values(), [*names, *parts]),
                                  ("classes", one, names)):  # fmt: skip
            for name in used:
                if name not in known:
                    raise ConfigurationError(
                        f"row format {self.name!r}: {what} names {name!r}, which is none of its columns",
                        hint=f"they are {', '.join(names)}",
                    )

    @property
    def chats(self) -> bool:
        """Whether the rows are conversations, which have a check of their own."""
        return self.name == CHAT_ROWS

    @property
    def as_is(self) -> bool:
        """Whether files and folders go through unread."""
        return self.name == AS_IS

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its columns, and of their parts."""
        return tuple(name for column in self.columns for name in (column.name, *column.parts))

    @property
    def noun(self) -> str:
        """What one row is called."""
        return "conversation" if self.chats else "row"

    @property
    def said(self) -> str:
        """What its rows are, in words."""
        if self.chats:
            return "conversations"
        return f"rows with {', '.join(column.name for column in self.columns if not column.optional)}"


CHAT_FORMAT, AS_IS_FORMAT = RowFormat(CHAT_ROWS), RowFormat(AS_IS)
