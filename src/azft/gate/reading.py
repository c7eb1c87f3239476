"""One way of reading a dataset, for a plan's look, a preview, and the pass over everything alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from attrs import field, frozen

from azft.domain.findings import Finding
from azft.domain.row_formats import CHAT_FORMAT, RowFormat
from azft.domain.rows import BadRow, Part, SourceRow, read_all
from azft.domain.specs import DatasetSpec
from azft.errors import ConfigurationError
from azft.gate.columns import recognised
from azft.gate.conversion import EXAMINED, Converts, chosen, of_function
from azft.gate.row_converter import FormatConverter
from azft.plugins.catalogue import Catalogue
from azft.sources.memory import memory_parts
from azft.sources.plain import parts_of

TRAIN, TEST = "train", "test"
Convert = Callable[[Mapping[str, Any]], Any]


@frozen
class Reading:
    """A dataset that is open: the parts of its splits, its first rows, and what makes of them what is trained on."""

    spec: DatasetSpec
    splits: Mapping[str, Sequence[Part]]
    first: tuple[Any, ...]
    converter: Converts
    notes: tuple[Finding, ...] = field(default=())

    def columns(self, split: str) -> tuple[str, ...]:
        """Return the names of a split's columns, as far as they are known without reading."""
        return columns_of(self.splits[split])


def parts_by_split(spec: DatasetSpec, catalogue: Catalogue, *, train_only: bool = False) -> dict[str, Sequence[Part]]:
    """Return the parts of the train split, and of the test split where the dataset has one."""
    names = {TRAIN: spec.train_split}
    if spec.test_split and not train_only:
        names[TEST] = spec.test_split
    if spec.rows is not None:
        return {split: memory_parts(spec.rows, spec.source, name) for split, name in names.items()}
    if not spec.source:
        raise ConfigurationError(f"dataset {spec.name!r} has no source", hint="DatasetSpec(NAME, source='file://...')")
    scheme, _, rest = spec.source.partition("://")
    if scheme == "memory":
        raise ConfigurationError(
            f"the rows of {spec.name!r} were in the memory of another session", hint="give dataset= the rows again"
        )
    reader = catalogue.readers.pick(scheme)
    return {split: parts_of(reader, rest, name) for split, name in names.items()}


def opened(
    spec: DatasetSpec, catalogue: Catalogue, convert: Convert | None = None, rows: RowFormat = CHAT_FORMAT
) -> Reading:
    """Return the dataset open for reading as rows of a format; `DatasetError` where no converter knows its columns."""
    splits = parts_by_split(spec, catalogue)
    first = tuple(row.value for row in first_rows(splits[TRAIN], EXAMINED) if isinstance(row, SourceRow))
    there = columns_of(splits[TRAIN])
    converter = (
        _converter(spec, catalogue, convert, first, there)
        if rows.chats
        else FormatConverter(rows, dict(spec.columns), convert)
    )
    return Reading(spec, splits, first, converter, _notes(splits))


def first_rows(parts: Sequence[Part], rows: int) -> Iterator[SourceRow | BadRow]:
    """Yield the first rows of a split, those that cannot be read among them."""
    return islice((row for chunk in read_all(parts, None) for row in chunk.rows()), rows)


def columns_of(parts: Sequence[Part]) -> tuple[str, ...]:
    """Return the names of all columns, as far as they are known without reading."""
    return tuple(dict.fromkeys(name for part in parts for name in part.columns))


def _converter(
    spec: DatasetSpec, catalogue: Catalogue, convert: Convert | None, first: Sequence[Any], there: Sequence[str]
) -> Converts:
    if convert is not None:
        return of_function(convert, spec.columns)
    if spec.converter:
        return chosen(catalogue.converters.pick(spec.converter), spec.columns)
    return recognised(catalogue.converters, first, there, spec.columns, source=spec.source)


def _notes(splits: Mapping[str, Sequence[Part]]) -> tuple[Finding, ...]:
    """Say how files are read where that had to be guessed, once for each file."""
    said = dict.fromkeys(
        (split, part.file, note) for split, parts in splits.items() for part in parts for note in part.notes
    )
    fix = "if that is wrong, save the file as UTF-8, with commas or as .jsonl"
    return tuple(Finding("AZFT-D012", "note", f"{split}: {file}", note, fix=fix) for split, file, note in said)
