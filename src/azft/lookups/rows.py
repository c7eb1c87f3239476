"""Look at a source's first rows, so that a plan can tell what is wrong with the data and how much there is."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice

from attrs import frozen

from azft.domain.data import DataSettings, PreparedData
from azft.domain.findings import Finding
from azft.domain.forecast import DataLook
from azft.domain.rows import BadRow, Part, SourceRow
from azft.domain.specs import DatasetSpec
from azft.errors import AzftError
from azft.gate.converting import EXAMINED, detect, judged
from azft.plugins.catalogue import Catalogue
from azft.sources.plain import parts_of

LOOKED_AT = 1_000
"""Rows of each split; a plan must stay quick, and every row is checked before anything is uploaded."""
CHARACTERS_PER_TOKEN = 4.2
"""English text in the tokenizers of chat models; the estimate is meant to within a quarter."""
SHOWN = 3


@frozen
class _Split:
    rows: int
    total: int | None
    bad: tuple[BadRow, ...]
    lengths: tuple[int, ...]


def look_at(
    dataset: DatasetSpec, settings: DataSettings, catalogue: Catalogue, *, limit: int
) -> tuple[DataLook | None, tuple[Finding, ...]]:
    """Return what the first rows show, and what is wrong with them; `limit` is the longest sequence, 0 if unknown.

    A source that takes the network is not looked at, which is a finding too.
    """
    scheme, _, rest = dataset.source.partition("://")
    try:
        reader = catalogue.readers.pick(scheme)
        if not reader.near:
            found = f"{dataset.source} is not on this machine, so it was not looked at"
            fix = "every row is checked before anything is uploaded; session.prepare() does it now"
            return None, (Finding("AZFT-D006", "note", dataset.name, found, fix=fix),)
        train = _look(dataset, catalogue, parts_of(reader, rest, dataset.train_split))
        test = _look(dataset, catalogue, parts_of(reader, rest, dataset.test_split)) if dataset.test_split else None
    except (AzftError, OSError) as error:
        message, hint = (error.message, error.hint) if isinstance(error, AzftError) else (str(error), "")
        return None, (Finding("AZFT-D001", "error", dataset.name, message, "data that can be read", hint or "mend it"),)
    tokens = [length / CHARACTERS_PER_TOKEN for length in train.lengths]
    look = DataLook(
        train.rows + (test.rows if test else 0),
        train.total,
        test.total if test else None,
        sum(tokens) / max(len(tokens), 1),
        sum(length > limit for length in tokens) / max(len(tokens), 1) if limit > 0 else 0.0,
    )
    return look, _findings(dataset, settings, look, [*train.bad, *(test.bad if test else ())])


def look_back(prepared: PreparedData) -> tuple[DataLook, tuple[Finding, ...]]:
    """Return what is known of data that is prepared, every row of it, and what is to be said of that."""
    tokens = prepared.tokens
    look = DataLook(
        prepared.checks.read,
        prepared.train.rows + prepared.validation.rows,
        prepared.test.rows,
        tokens.mean if tokens else 0.0,
        tokens.truncated if tokens else 0.0,
        exact=tokens.exact if tokens else False,
    )
    spec = DatasetSpec(prepared.name, prepared.source)
    return look, (*prepared.checks.findings, *_findings(spec, prepared.settings, look, []))


def _look(dataset: DatasetSpec, catalogue: Catalogue, parts: Sequence[Part]) -> _Split:
    """Look at the first rows; how many there are in all is known where their end was reached, or a footer tells."""
    rows = (row for part in parts for chunk in part.read(None) for row in chunk.rows())
    seen = list(islice(rows, LOOKED_AT))
    values = [row.value for row in seen if isinstance(row, SourceRow)]
    choice = catalogue.converters.pick(dataset.converter) if dataset.converter else None
    converter = choice or detect(catalogue.converters, values[:EXAMINED], dataset.columns).converter
    bad: list[BadRow] = []
    lengths: list[int] = []
    for row in seen:
        if isinstance(row, BadRow):
            bad.append(row)
            continue
        messages, fault = judged(converter.convert, row.value, dataset.columns)
        if fault:
            bad.append(BadRow(row.file, row.line, fault.reason, fault.code, fault.fix))
        else:
            lengths.append(sum(len(message["content"]) + 8 for message in messages))
    counted = [part.rows for part in parts]
    known = None if None in counted else sum(rows or 0 for rows in counted)
    ended = len(seen) < LOOKED_AT or next(rows, None) is None
    return _Split(len(seen), len(seen) if ended else known, tuple(bad), tuple(lengths))


def _findings(dataset: DatasetSpec, settings: DataSettings, look: DataLook, bad: list[BadRow]) -> tuple[Finding, ...]:
    found: list[Finding] = []
    if bad:
        shown = "; ".join(map(str, bad[:SHOWN])) + ("; ..." if len(bad) > SHOWN else "")
        said = f"{len(bad):,} bad rows among the first {look.looked_at:,}: {shown}"
        found.append(Finding("AZFT-D002", "error", dataset.name, said, "conversations", "repair or remove them"))
    if look.train_rows == 0:
        fix = "each row is an object with 'messages'"
        found.append(Finding("AZFT-D003", "error", dataset.name, f"{dataset.source} has no rows", "rows", fix))
    if settings.validation == 0:
        said = "no validation rows, and the component would cut 20 % from the training rows, by position"
        found.append(Finding("AZFT-D004", "warning", dataset.name, said, "validation above 0", "validation=0.1"))
    if look.too_long > 0:
        said = f"about {look.too_long:.0%} of the conversations are longer than the model reads, and are cut off"
        fix = "a larger max_seq_length, or shorter conversations"
        found.append(Finding("AZFT-D005", "warning", dataset.name, said, "conversations that fit", fix))
    return tuple(found)
