"""The promises of a row format."""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from azft.domain.pipelines import AS_IS, CHAT_ROWS
from azft.domain.row_formats import Column, RowFormat
from azft.rules.row_checks import as_talk, fault_of_row, kept

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class RowFormatKit:
    """Set `rows`, a few rows that are `good`, and rows that are `bad`: each must be refused."""

    rows: ClassVar[RowFormat]
    good: ClassVar[Sequence[Mapping[str, Any]]]
    bad: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def test_its_name_can_be_one(self) -> None:
        """A name is letters, digits, '.', '_' and '-'."""
        assert _NAME.fullmatch(self.rows.name), f"name {self.rows.name!r}"
        assert self.rows.name not in {CHAT_ROWS, AS_IS}, f"{self.rows.name} is azft's own"

    def test_good_rows_are_good(self) -> None:
        """Nothing is wrong with any of them."""
        assert self.good, "give the kit a few good rows"
        for row in self.good:
            assert fault_of_row(self.rows, row) is None, f"{row}: {fault_of_row(self.rows, row)}"

    def test_bad_rows_are_refused_with_a_reason(self) -> None:
        """Each has a fault, in words."""
        for row in self.bad:
            fault = fault_of_row(self.rows, row)
            assert fault is not None, f"{row} was taken"
            assert fault.reason.strip(), f"{row}: a fault without a reason"

    def test_a_row_that_lacks_a_column_is_told_which(self) -> None:
        """Every column that may not be missing is looked for by its name."""
        for row in self.good:
            for column in self.rows.columns:
                if not column.optional:
                    rest = {name: value for name, value in row.items() if name != column.name}
                    fault = fault_of_row(self.rows, rest)
                    assert fault is not None, f"{column.name} may be missing"
                    assert column.name in fault.reason

    def test_a_row_is_left_as_it_is_and_judged_the_same_twice(self) -> None:
        """A check looks, and does nothing."""
        for row in (*self.good, *self.bad):
            given_row = copy.deepcopy(dict(row))
            first = fault_of_row(self.rows, given_row)
            assert given_row == row, "the check has changed the row"
            assert fault_of_row(self.rows, given_row) == first, "the same row was judged in two ways"

    def test_its_check_answers_with_a_text(self) -> None:
        """Empty where nothing is wrong; True, None or a list are no answer."""
        if self.rows.check is not None:
            for row in self.good:
                assert self.rows.check(dict(row)) == "", f"{row}: {self.rows.check(dict(row))!r}"

    def test_no_row_of_the_right_types_breaks_its_check(self) -> None:
        """Whatever texts, labels and lists its columns hold, the check answers."""
        if self.rows.check is None:
            return
        check = self.rows.check

        @settings(max_examples=80, deadline=None)
        @given(st.fixed_dictionaries({column.name: _cells(column) for column in self.rows.columns}))
        def any_row(row: dict[str, Any]) -> None:
            filled = {name: value for name, value in row.items() if value is not None}
            try:
                said = check(filled)
            except Exception as error:
                raise AssertionError(f"{filled}: {type(error).__name__}: {error}") from error
            assert isinstance(said, str), f"{filled}: the check returned {said!r}, expected a text"

        any_row()

    def test_rows_that_ask_the_same_have_one_prompt(self) -> None:
        """They stay on one side when the data is divided, and the answer is no part of it."""
        assert self.rows.asks, "say which columns the model is asked"
        answers = {column.name for column in self.rows.columns} - {*self.rows.asks}
        assert answers, "every column is asked, so there is nothing to learn"
        for row in self.good:
            asked, _answer = as_talk(self.rows, row)
            rest = {name: value for name, value in row.items() if name not in answers}
            assert as_talk(self.rows, rest)[0] == asked

    def test_good_rows_differ_in_what_is_kept(self) -> None:
        """What tells two rows apart is among the columns."""
        written = [orjson.dumps(kept(self.rows, row)) for row in self.good]
        assert len(set(written)) == len(written), "two good rows are the same once they are written"

    def test_its_classes_are_labels(self) -> None:
        """A column of classes holds labels, in every row."""
        if self.rows.classes:
            (column,) = (one for one in self.rows.columns if one.name == self.rows.classes)
            assert column.holds == "label"
            assert not column.optional

    def test_its_keys_name_columns_that_are_always_there(self) -> None:
        """An input that names a column a row may be without would make the pipeline drop such rows."""
        optional = {column.name for column in self.rows.columns if column.optional}
        wrong = {name: column for name, column in self.rows.keys.items() if column in optional}
        assert not wrong, f"{wrong} name columns that may be missing"

    def test_it_can_be_taken_to_another_process(self) -> None:
        """Large data is read by several processes; a function within a function cannot go there."""
        pickle.dumps(self.rows)


def _cells(column: Column) -> st.SearchStrategy[Any]:
    """Return values of the right type for a column, those that the format takes before its own check."""
    text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=12)
    said = text.filter(lambda value: bool(value.strip()))

    def record(size: int) -> st.SearchStrategy[Any]:
        cells = st.lists(st.one_of(said, st.integers(0, 30)), min_size=size, max_size=size)
        return st.fixed_dictionaries(dict.fromkeys(column.parts, cells))

    kinds: dict[str, st.SearchStrategy[Any]] = {
        "text": said,
        "label": st.one_of(said, st.integers(0, 9)),
        "texts": st.lists(said, min_size=1, max_size=4),
        "record": st.integers(0, 3).flatmap(record),
    }
    cells = kinds[column.holds]
    return st.one_of(st.none(), cells) if column.optional else cells
