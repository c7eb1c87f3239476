"""Look at a source's first rows, so that a plan can tell what is wrong with the data and how much there is."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from attrs import frozen

from azft.domain.data import BadRow, DataSettings, SourceRow
from azft.domain.findings import Finding
from azft.domain.forecast import DataLook
from azft.domain.specs import DatasetSpec, Reader
from azft.errors import AzftError
from azft.rules.chat import why_not_a_conversation

LOOKED_AT = 1_000
"""Rows of each split; a plan must stay quick, and every row is checked before anything is uploaded."""
CHARACTERS_PER_TOKEN = 4.2
"""English text in the tokenizers of chat models; the estimate is meant to within a quarter."""
SHOWN = 3


@frozen
class _Split:
    rows: int
    ended: bool
    bad: tuple[BadRow, ...]
    lengths: tuple[int, ...]


def look_at(
    dataset: DatasetSpec, settings: DataSettings, pick: Callable[[str], Reader], *, limit: int
) -> tuple[DataLook | None, tuple[Finding, ...]]:
    """Return what the first rows show, and what is wrong with them; `limit` is the longest sequence, 0 if unknown.

    A source that takes the network is not looked at, which is a finding too.
    """
    scheme, _, rest = dataset.source.partition("://")
    try:
        reader = pick(scheme)
        if not reader.near:
            found = f"{dataset.source} is not on this machine, so it was not looked at"
            fix = "every row is checked before anything is uploaded; DatasetPreparer(...).prepare(...) does it now"
            return None, (Finding("AZFT-D006", "note", dataset.name, found, fix=fix),)
        train = _look(reader, rest, dataset.train_split)
        test = _look(reader, rest, dataset.test_split) if dataset.test_split else None
    except (AzftError, OSError) as error:
        message, hint = (error.message, error.hint) if isinstance(error, AzftError) else (str(error), "")
        return None, (Finding("AZFT-D001", "error", dataset.name, message, "data that can be read", hint or "mend it"),)
    tokens = [length / CHARACTERS_PER_TOKEN for length in train.lengths]
    look = DataLook(
        train.rows + (test.rows if test else 0),
        train.rows if train.ended else None,
        test.rows if test and test.ended else None,
        sum(tokens) / max(len(tokens), 1),
        sum(length > limit for length in tokens) / max(len(tokens), 1) if limit > 0 else 0.0,
    )
    return look, _findings(dataset, settings, look, [*train.bad, *(test.bad if test else ())])


def _look(reader: Reader, rest: str, split: str) -> _Split:
    bad: list[BadRow] = []
    lengths: list[int] = []
    rows = 0
    source = iter(reader.read(rest, split))
    for row in islice(source, LOOKED_AT):
        rows += 1
        given = row if isinstance(row, SourceRow | BadRow) else SourceRow(row, f"{reader.scheme}://{rest}", rows)
        reason = given.reason if isinstance(given, BadRow) else why_not_a_conversation(given.value)
        if reason:
            bad.append(BadRow(given.file, given.line, reason))
        elif isinstance(given, SourceRow):
            lengths.append(sum(len(message["content"]) + 8 for message in given.value["messages"]))
    return _Split(rows, rows < LOOKED_AT or next(source, None) is None, tuple(bad), tuple(lengths))


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
