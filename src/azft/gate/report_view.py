"""What is known of prepared data, described once for a terminal, a notebook and a page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from azft.domain.checks import Checks
from azft.domain.data import PreparedData
from azft.domain.tokens import TokenStatistics
from azft.gate.rejects import BAD, ORIGINALS, REPEATED
from azft.rules.codes import CODES
from azft.views.description import Cell, Histogram, Link, Marked, Part, Table, View

LISTED = 20
"""Bad rows that the report lists; the file beside it has all."""
Rows = list[tuple[Cell, ...]]


def facts(data: PreparedData) -> Rows:
    """Return what was read, from where, and what came of it."""
    settings, checks = data.settings, data.checks
    return [
        ("source", data.source + (f" at {data.revision}" if data.revision else "")),
        ("read", _read(data)),
        *(("not read", f"{part} of {file}") for file, part in checks.unread.items()),
        ("columns", data.converter),
        *(("left out", f"{name} of {count:,} messages") for name, count in checks.ignored.items()),
        *(
            (label, f"{file.rows:,} rows, SHA-256 {file.sha256[:16]}")
            for label, file in (("train", data.train), ("validation", data.validation), ("test", data.test))
        ),
        ("seed", str(settings.seed)),
        ("made by", f"azft {data.version}"),
    ]


def _read(data: PreparedData) -> str:
    """Return how many rows were read; never all of them where a part of a file could not be."""
    settings, checks = data.settings, data.checks
    share = "" if checks.unread and settings.percent >= 100 else f" ({settings.percent:g} %, {settings.sample})"  # noqa: PLR2004
    repeated = sum(checks.duplicates.values())
    more = f", {repeated:,} repeat another" if repeated else ""
    return f"{checks.read:,} rows{share}, {checks.bad:,} of them bad{more}"


def duplicates_table(checks: Checks) -> tuple[tuple[str, ...], Rows]:
    """Return the columns and rows of what repeats."""
    rows: Rows = [(code, f"{count:,}", CODES.get(code, "")) for code, count in sorted(checks.duplicates.items())]
    return ("code", "rows", "what it means"), rows


def bad_table(checks: Checks) -> tuple[tuple[str, ...], Rows]:
    """Return the columns and rows of what was bad, most frequent first."""
    ordered = sorted(checks.codes.items(), key=lambda entry: (-entry[1], entry[0]))
    return ("code", "rows", "what it means"), [(code, f"{rows:,}", CODES.get(code, "")) for code, rows in ordered]


def findings_of(checks: Checks) -> Rows:
    """Return the findings about the whole."""
    return [(finding.code, str(finding).partition(": ")[2]) for finding in checks.findings]


def share_table(tokens: TokenStatistics) -> Rows:
    """Return what the lengths mean for training."""
    quantiles = ", ".join(f"{percent:g} %: {length:,}" for percent, length in tokens.quantiles)
    rows: Rows = [
        (
            "tokens",
            f"{'' if tokens.exact else 'about '}{tokens.tokens:,} in {tokens.rows:,} rows before they are divided, "
            f"{tokens.mean:,.0f} each",
        ),
        ("how", tokens.method + ("" if tokens.exact else _error(tokens))),
        ("at most", quantiles),
    ]
    if tokens.limit:
        cut = f"{tokens.truncated:.2%} of the rows are longer than {tokens.limit:,} tokens"
        left = f"; {tokens.nothing_left:,} rows have nothing to learn then" if tokens.nothing_left else ""
        rows.append(("cut off", f"{cut}, {tokens.lost:.2%} of all tokens{left}"))
    rows.append(
        ("padding", f"{tokens.padding:.1%} of batches of {tokens.batch} in random order; packed, {tokens.packed:.1%}")
    )
    rows.append(
        ("an epoch", f"{tokens.steps:,} steps of {tokens.batch} on one device; packed, {tokens.steps_packed:,}")
    )
    return rows


def lengths(tokens: TokenStatistics) -> Histogram:
    """Return how many conversations have how many tokens."""
    quantiles = ", ".join(f"{percent:g} % have at most {length:,}" for percent, length in tokens.quantiles)
    alt = f"Histogram of the tokens of {tokens.rows:,} conversations: {quantiles}."
    title = "Tokens of a conversation"
    return Histogram(title, alt, tokens.histogram, "tokens", "rows", tokens.limit, "max_seq_length")


def _error(tokens: TokenStatistics) -> str:
    if not tokens.counted:
        return f"; meant to within {tokens.error[1]:.0%}, and not measured"
    return f"; a row is off by {tokens.error[0]:.1%} (median) to {tokens.error[1]:.1%} (99th percentile)"


def described(data: PreparedData) -> View:
    """Describe everything that is known of the data."""
    title = f"Data {data.name}"
    parts: list[Part] = [Table(title, ("", ""), tuple(facts(data)))]
    if data.tokens:
        parts += [lengths(data.tokens), Table("", ("", ""), tuple(share_table(data.tokens)))]
    if data.checks.bad:
        columns, rows = bad_table(data.checks)
        parts.append(Table("Bad rows", columns, tuple(rows)))
    if data.checks.duplicates:
        columns, rows = duplicates_table(data.checks)
        parts.append(Table("Duplicates", columns, tuple(rows)))
    if found := findings_of(data.checks):
        parts.append(Table("Findings", ("code", "finding"), tuple(found)))
    return View(title, str(data), tuple(parts))


def page_of(data: PreparedData, samples: Iterable[Marked]) -> View:
    """Describe the same with sample rows as they are learned, and what became of the bad rows, with the files."""
    view = described(data)
    parts: list[Part] = [*view.parts]
    shown = tuple((f"row {number}", row) for number, row in enumerate(samples, start=1))
    if shown:
        note = "What is learned is marked; the rest is read and not learned."
        parts.append(Table("Training rows as the model reads them", ("", "text"), shown, note))
    if fate := tuple(_fate(data.folder)):
        columns = ("where", "code", "what became of it", "why")
        parts.append(Table("The first bad rows, and what became of them", columns, fate))
    files = (BAD, REPEATED, ORIGINALS, "prepared.json", data.train.path.name, data.test.path.name)
    links = tuple((Link(name, name),) for name in files if (data.folder / name).is_file())
    return View(view.title, view.summary, (*parts, Table("Files", ("",), links)))


def _fate(folder: Path) -> Iterable[tuple[Cell, ...]]:
    """Yield where each of the first bad rows was, what was wrong, and what became of it."""
    path = folder / BAD
    if not path.is_file():
        return
    with path.open("rb") as lines:
        for line in islice(lines, LISTED):
            row: Mapping[str, Any] = orjson.loads(line)
            unit = next((name for name in ("line", "row") if name in row), "")
            where = f"{row.get('file', '')}, {unit} {row.get(unit, '')}"
            yield where, str(row.get("code", "")), str(row.get("action", "")), str(row.get("reason", ""))
