"""The promises of a converter."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.gate.conversion import RowConverter
from azft.rules.chat import fault_of

ALIEN = {"azft_kit_column_of_nobody": "x"}
"""A row that no converter knows."""


class ConverterKit:
    """Set `converter`, a few rows that are `good`, and rows that are `bad`: each must be refused."""

    converter: ClassVar[Converter]
    good: ClassVar[Sequence[Mapping[str, Any]]]
    bad: ClassVar[Sequence[Mapping[str, Any]]] = ()

    def test_good_rows_become_sound_conversations(self) -> None:
        """They have known roles in turn, texts that are not blank, and end with an answer."""
        assert self.good, "give the kit a few good rows"
        for row in self.good:
            found = self._converted(row)
            assert found.fault is None, f"{row}: {found.fault}"

    def test_the_same_row_gives_the_same_messages(self) -> None:
        """The same data gives the same files."""
        for row in self.good:
            assert self._messages(row) == self._messages(row)

    def test_a_row_is_left_as_it_is(self) -> None:
        """Other converters and the report of bad rows look at it too."""
        for row in (*self.good, *self.bad):
            given_row = copy.deepcopy(dict(row))
            with suppress(Exception):  # Another promise asks how it refuses.
                self.converter.convert(given_row)
            assert given_row == row, "the converter has changed the row"

    def test_messages_of_two_rows_share_nothing(self) -> None:
        """What is done to one conversation must not reach another."""
        for row in self.good:
            first = self._messages(row)
            before = copy.deepcopy(first)
            for message in first:
                message.clear()
            assert self._messages(row) == before

    def test_messages_are_plain(self) -> None:
        """A list of dicts that JSON can hold, or such a list with the tools that are offered."""
        for row in self.good:
            made = self._messages(row)
            assert isinstance(made, list), f"messages are {type(made).__name__}, expected a list"
            assert all(type(message) is dict for message in made)
            orjson.dumps(made)

    def test_bad_rows_are_refused_with_a_reason(self) -> None:
        """By `ValueError` with words in it, or by messages that are not sound."""
        for row in self.bad:
            try:
                made = self.converter.convert(dict(row))
            except ValueError as error:
                said = str(error).strip()
            except Exception as error:
                raise AssertionError(f"{row}: {type(error).__name__}, expected ValueError with the reason") from error
            else:
                refused = isinstance(made, Fault) or self._converted(row).fault is not None
                said = "it was refused" if refused else ""
            assert said, f"{row} was taken, or refused without a reason"

    def test_it_knows_its_rows_and_no_others(self) -> None:
        """Columns tell which converter a row takes."""
        for row in self.good:
            assert self.converter.sees(dict(row)), f"{row} is not seen"
        assert not self.converter.sees(dict(ALIEN)), "a row of nobody's is seen"
        assert not self.converter.sees({}), "an empty row is seen"

    def test_what_it_needs_is_in_its_rows(self) -> None:
        """One of the sets of columns that it says it needs is in every good row."""
        if self.converter.needs:
            for row in self.good:
                assert self.converter.may_read(row), f"{list(row)} has none of {self.converter.needs}"

    def test_it_reads_what_it_says(self) -> None:
        """Columns beside those in `reads` are not read from the file, so they are not there."""
        if not self.converter.reads:
            return
        for row in self.good:
            kept = {name: value for name, value in row.items() if name in self.converter.reads}
            assert self._messages(kept) == self._messages(row), f"{row} reads more than {self.converter.reads}"

    def test_a_column_of_somebody_else_changes_nothing(self) -> None:
        """Sources have more columns than a converter knows."""
        for row in self.good:
            assert self._messages({**row, **ALIEN}) == self._messages(row)

    def test_its_quick_way_says_the_same(self) -> None:
        """Many rows at a time are taken by `quick`, where what it makes is sound."""
        if self.converter.quick is None:
            return
        for row in self.good:
            quick = self.converter.quick(dict(row))
            assert quick is None or fault_of(quick) is not None or quick == self._messages(row)

    def test_no_text_breaks_it(self) -> None:
        """Whatever a cell holds, it answers with messages, a fault, or `ValueError`."""
        texts = st.one_of(st.text(max_size=30), st.none(), st.integers(), st.lists(st.text(max_size=5), max_size=2))

        @settings(max_examples=60, deadline=None)
        @given(st.sampled_from(list(self.good)), st.data())
        def any_row(row: Mapping[str, Any], data: st.DataObject) -> None:
            changed = {name: data.draw(texts) if data.draw(st.booleans()) else value for name, value in row.items()}
            try:
                self.converter.convert(changed)
            except ValueError:
                return
            except Exception as error:
                raise AssertionError(f"{changed}: {type(error).__name__}: {error}, expected ValueError") from error

        any_row()

    def test_it_can_be_taken_to_another_process(self) -> None:
        """Large data is read by several processes; a function within a function cannot go there."""
        pickle.dumps(self.converter)

    def _converted(self, row: Mapping[str, Any]) -> Any:
        return RowConverter((self.converter,), "kit", named=True).convert(copy.deepcopy(dict(row)))

    def _messages(self, row: Mapping[str, Any]) -> Any:
        made = self.converter.convert(copy.deepcopy(dict(row)))
        return made["messages"] if isinstance(made, dict) and "messages" in made else made
