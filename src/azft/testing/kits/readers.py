"""The promises of a reader."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from itertools import islice, zip_longest
from typing import Any, ClassVar

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st

from azft.domain.rows import BadRow, Part, SourceRow, Wanted, read_all
from azft.domain.specs import Reader
from azft.errors import AzftError
from azft.sources.plain import parts_of

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
FIRST = 200
"""Rows that are looked at one by one."""


class ReaderKit:
    """Set `reader`, the `source` and `split` of a small set of rows that is there, and a `missing` source."""

    reader: ClassVar[Reader]
    source: ClassVar[str]
    split: ClassVar[str] = "train"
    missing: ClassVar[str] = "azft-kit/nothing-of-that-name"

    def test_its_scheme_can_stand_before_a_source(self) -> None:
        """A scheme is letters, digits, '+', '.' and '-', and begins with a letter."""
        assert _SCHEME.fullmatch(self.reader.scheme), f"scheme {self.reader.scheme!r}"

    def test_there_are_rows(self) -> None:
        """The source that was named is there."""
        assert list(islice(self._rows(), 1)), f"{self.reader.scheme}://{self.source} has no rows in {self.split!r}"

    def test_rows_come_in_the_same_order_every_time(self) -> None:
        """A split is drawn by position, so the second reading must be the first."""
        assert list(self._values()) == list(self._values())

    def test_two_readings_do_not_disturb_each_other(self) -> None:
        """A plan's look and the preparation may read at once."""
        pairs = zip_longest(self._values(), self._values(), fillvalue="nothing")
        assert all(one == other for one, other in islice(pairs, FIRST))

    def test_a_reading_that_stops_early_leaves_the_next_one_whole(self) -> None:
        """A plan looks at the first rows alone."""
        whole = list(self._values())
        begun = self._values()
        next(begun)
        begun.close()
        assert list(self._values()) == whole

    def test_rows_are_objects_with_names(self) -> None:
        """A row is a mapping of texts, or one with its place, or a bad row."""
        for row in islice(self._rows(), FIRST):
            value = row.value if isinstance(row, SourceRow) else row
            if not isinstance(value, BadRow):
                assert isinstance(value, dict), f"a row is {type(value).__name__}, expected a dict"
                assert all(isinstance(name, str) for name in value), f"columns {list(value)} are no texts"

    def test_rows_can_be_written_as_json(self) -> None:
        """What is kept of a row goes into a file of JSON lines."""
        for value in islice(self._values(), FIRST):
            orjson.dumps(value)

    def test_a_row_that_is_changed_does_not_change_the_next_reading(self) -> None:
        """Converters and others may hold on to what they were given."""
        before = copy.deepcopy(list(islice(self._values(), FIRST)))
        for value in islice(self._values(), FIRST):
            if isinstance(value, dict):
                value.clear()
        assert list(islice(self._values(), FIRST)) == before

    def test_its_count_is_right_or_nothing(self) -> None:
        """A wrong count would divide the rows wrongly; None says that nobody knows without reading."""
        if self.reader.count is None:
            return
        count = self.reader.count(self.source, self.split)
        whole = len(list(self._rows()))
        assert count is None or (type(count) is int and count == whole), f"count is {count!r}, rows are {whole}"

    def test_places_are_counted_from_one_and_go_up(self) -> None:
        """A row that is bad is named by its file and its line."""
        last: dict[str, int] = {}
        for part in self._parts():
            for chunk in part.read(None):
                assert chunk.file, "a row has no file"
                for number in chunk.numbers:
                    assert number > last.get(chunk.file, 0), f"{chunk.file}: {number} after {last.get(chunk.file)}"
                    last[chunk.file] = number

    def test_any_rows_that_are_wanted_come_and_no_others(self) -> None:
        """A share of the rows is drawn by their numbers."""
        whole = [value for chunk in read_all(self._parts(), None) for value in chunk.load(0, len(chunk.numbers))]

        @settings(max_examples=20, deadline=None)
        @given(st.lists(st.booleans(), min_size=len(whole), max_size=len(whole)))
        def wanted(flags: list[bool]) -> None:
            found = read_all(self._parts(), Wanted(iter(flags), sum(flags)))
            rows = [value for chunk in found for value in chunk.load(0, len(chunk.numbers))]
            assert rows == [value for value, taken in zip(whole, flags, strict=True) if taken]

        wanted()

    def test_parts_tell_the_truth_about_themselves(self) -> None:
        """Their numbers of rows are right, and their digest of the content is one."""
        for part in self._parts():
            rows = sum(len(chunk.numbers) for chunk in part.read(None))
            assert part.rows in {None, rows}, f"{part.file}: rows is {part.rows}, and {rows} are read"
            assert part.count() == rows
        assert [part.content() for part in self._parts()] == [part.content() for part in self._parts()]

    def test_what_is_not_there_is_said_in_azfts_own_words(self) -> None:
        """Not an empty dataset, and no exception of another library."""
        try:
            parts = parts_of(self.reader, self.missing, self.split)
            rows = sum(len(chunk.numbers) for part in parts for chunk in part.read(None))
        except AzftError as error:
            said = str(error).strip()
        except Exception as error:
            raise AssertionError(f"{type(error).__name__}: {error}, expected DatasetError") from error
        else:
            raise AssertionError(f"{self.reader.scheme}://{self.missing} was read, with {rows} rows")
        assert said, "an error without a word"

    def _parts(self) -> list[Part]:
        return list(parts_of(self.reader, self.source, self.split))

    def _rows(self) -> Iterator[Any]:
        if self.reader.read is not None:
            yield from self.reader.rows(self.source, self.split)
        else:
            yield from (row for chunk in read_all(self._parts(), None) for row in chunk.rows())

    def _values(self) -> Any:
        return (row.value if isinstance(row, SourceRow) else row for row in self._rows())
