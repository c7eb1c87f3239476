"""What is known of prepared data, as rows of text for a terminal and a page alike."""

from __future__ import annotations

from collections.abc import Sequence

from azft.domain.checks import Checks
from azft.domain.data import PreparedData
from azft.domain.tokens import TokenStatistics
from azft.rules.codes import CODES

BAR = 40
"""Characters of the longest bar."""
Rows = list[tuple[str, ...]]


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


def histogram_rows(tokens: TokenStatistics) -> Rows:
    """Return the histogram with bars of text."""
    most = max((rows for _from, _to, rows in tokens.histogram), default=1)
    return [
        (f"{start:,} to {stop - 1:,}", f"{rows:,}", "█" * -(-BAR * rows // most) + _mark(tokens, start, stop))
        for start, stop, rows in tokens.histogram
    ]


def _mark(tokens: TokenStatistics, start: int, stop: int) -> str:
    return f" <- {tokens.limit:,} is the limit" if start <= tokens.limit < stop and tokens.limit else ""


def _error(tokens: TokenStatistics) -> str:
    if not tokens.counted:
        return f"; meant to within {tokens.error[1]:.0%}, and not measured"
    return f"; a row is off by {tokens.error[0]:.1%} (median) to {tokens.error[1]:.1%} (99th percentile)"


Parts = Sequence[tuple[str, tuple[str, ...], Rows]]


def sections(data: PreparedData) -> Parts:
    """Return (title, columns, rows) of everything, for printing."""
    found: list[tuple[str, tuple[str, ...], Rows]] = [(data.name, ("", ""), facts(data))]
    if data.tokens:
        found.append(("Tokens", ("", ""), share_table(data.tokens)))
        found.append(("", ("tokens", "rows", ""), histogram_rows(data.tokens)))
    if data.checks.bad:
        found.append(("Bad rows", *bad_table(data.checks)))
    if data.checks.duplicates:
        found.append(("Duplicates", *duplicates_table(data.checks)))
    if data.checks.findings:
        found.append(("Findings", ("code", "finding"), findings_of(data.checks)))
    return found
