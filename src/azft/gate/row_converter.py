"""From a source's own columns to the rows of a task other than chat: renamed, or made by a function of the user's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import field, frozen

from azft.domain.row_formats import RowFormat
from azft.domain.rows import Fault
from azft.gate.conversion import FAILURES, Converted, renamed
from azft.rules.chat import not_an_object
from azft.rules.row_checks import as_talk, fault_of_row, kept


@frozen
class FormatConverter:
    """Makes rows of one format; `convert` is a user's own function of a row, which returns one with its columns."""

    rows: RowFormat
    columns: Mapping[str, str] = field(factory=dict)
    own: Callable[[Mapping[str, Any]], Any] | None = None

    def __str__(self) -> str:
        how = "a function that was given" if self.own else "by its columns"
        return f"{self.rows.name} ({how})"

    @property
    def quick(self) -> None:
        """What makes rows that need no care: nothing, each one is looked at."""
        return

    def reads(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Return the columns that have to be read, of those that are there; none for all of them."""
        wanted = {column.name for column in self.rows.columns}
        there = tuple(name for name in columns if self.columns.get(name, name) in wanted)
        return () if self.own else there

    def suits(self, columns: Iterable[str]) -> bool:
        """Return whether rows with these columns are for this format, whatever they hold."""
        return self.own is not None or {one.name for one in self.rows.columns if not one.optional} <= set(columns)

    def convert(self, value: Any) -> Converted:
        """Return the row as it is trained on, as a question and its answer too, and what is wrong with it."""
        if not isinstance(value, dict):
            return Converted(fault=not_an_object(value))
        return self.judge(renamed(value, self.columns))

    def judge(self, row: Mapping[str, Any]) -> Converted:
        """Return the same for a row whose columns have the format's names."""
        if self.own is not None:
            try:
                made = self.own(row)
            except FAILURES as error:
                said = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
                fix = "fix the row, or the function"
                return Converted(fault=Fault("AZFT-R016", f"it cannot be converted: {said}", fix))
            if not isinstance(made, dict):
                said = f"the function returned {type(made).__name__}, expected {self.rows.said}"
                return Converted(fault=Fault("AZFT-R016", said, "return a dict with the columns"))
            row = made
        fault = fault_of_row(self.rows, row)
        if fault is not None:
            return Converted(fault=fault)
        found = kept(self.rows, row)
        return Converted(as_talk(self.rows, found), fault=None, row=found)
