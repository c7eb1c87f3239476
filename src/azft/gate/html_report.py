"""The report of prepared data as one HTML page, pictures included, which needs nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from azft.domain.data import PreparedData
from azft.domain.tokens import TokenStatistics
from azft.escapes import visible
from azft.gate.report_tables import bad_table, duplicates_table, facts, findings_of, share_table

WIDE, HIGH, LEFT, BELOW = 760, 240, 56, 44
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 860px; margin: 2em auto; padding: 0 1em; color: #1b1b1b; }
table { border-collapse: collapse; margin: 0.5em 0 1.5em; } th, td { padding: 0.2em 0.9em 0.2em 0; text-align: left;
  vertical-align: top; border-bottom: 1px solid #ddd; } td:first-child { white-space: nowrap; }
th { font-weight: 600; } h1 { font-size: 1.5em; }
h2 { font-size: 1.15em; margin-top: 1.6em; } svg text { font: 12px system-ui, sans-serif; fill: #444; }
code { overflow-wrap: anywhere; }
"""


def page(data: PreparedData) -> str:
    """Return the page."""
    parts = [f"<h1>{escape(data.name)}</h1>", _table(("", ""), facts(data))]
    if data.tokens:
        parts += [
            "<h2>Tokens of a conversation</h2>",
            lengths_picture(data.tokens),
            _table(("", ""), share_table(data.tokens)),
        ]
    if data.checks.bad:
        columns, rows = bad_table(data.checks)
        parts += ["<h2>Bad rows</h2>", bars_picture(dict(data.checks.codes)), _table(columns, rows)]
    if data.checks.duplicates:
        parts += ["<h2>Duplicates</h2>", _table(*duplicates_table(data.checks))]
    if found := findings_of(data.checks):
        parts += ["<h2>Findings</h2>", _table(("code", "finding"), found)]
    head = f'<meta charset="utf-8"><title>{escape(data.name)}</title><style>{_STYLE}</style>'
    return f"<!doctype html><html lang=en><head>{head}</head><body>{''.join(parts)}</body></html>\n"


def lengths_picture(tokens: TokenStatistics) -> str:
    """Return a histogram as SVG; a line stands at the limit."""
    most = max((rows for _from, _to, rows in tokens.histogram), default=1)
    first, last = (tokens.histogram[0][0], tokens.histogram[-1][1]) if tokens.histogram else (0, 1)
    scale = (WIDE - LEFT) / (last - first)
    drawn = [_axis(most, "rows")]
    for start, stop, rows in tokens.histogram:
        height = rows / most * (HIGH - BELOW)
        colour = "#c0504d" if 0 < tokens.limit <= start else "#3b6ea8"
        drawn.append(
            f'<rect x="{LEFT + (start - first) * scale + 1:.1f}" y="{HIGH - BELOW - height:.1f}" '
            f'width="{(stop - start) * scale - 2:.1f}" height="{height:.1f}" fill="{colour}">'
            f"<title>{start:,} to {stop - 1:,} tokens: {rows:,} rows</title></rect>"
        )
    every = max(1, len(tokens.histogram) // 8)
    for start, _stop, _rows in tokens.histogram[::every]:
        drawn.append(f'<text x="{LEFT + (start - first) * scale:.1f}" y="{HIGH - BELOW + 16}">{start:,}</text>')
    drawn.append(f'<text x="{LEFT}" y="{HIGH - 6}">tokens</text>')
    if first <= tokens.limit < last and tokens.limit:
        at = LEFT + (tokens.limit - first) * scale
        drawn.append(
            f'<line x1="{at:.1f}" x2="{at:.1f}" y1="0" y2="{HIGH - BELOW}" stroke="#c0504d" stroke-dasharray="4"/>'
        )
        drawn.append(f'<text x="{at + 4:.1f}" y="12">max_seq_length {tokens.limit:,}</text>')
    return _svg(HIGH, drawn)


def bars_picture(counts: dict[str, int]) -> str:
    """Return one horizontal bar for each code as SVG."""
    most = max(counts.values())
    drawn = []
    for number, (code, rows) in enumerate(sorted(counts.items())):
        top = number * 24
        width = max(2.0, rows / most * (WIDE - 200))
        drawn.append(f'<text x="0" y="{top + 16}">{escape(code)}</text>')
        drawn.append(f'<rect x="96" y="{top + 4}" width="{width:.1f}" height="16" fill="#c0504d"/>')
        drawn.append(f'<text x="{100 + width:.1f}" y="{top + 16}">{rows:,}</text>')
    return _svg(24 * len(counts), drawn)


def _axis(most: int, name: str) -> str:
    floor = HIGH - BELOW
    line = f'<line x1="{LEFT}" x2="{WIDE}" y1="{floor}" y2="{floor}" stroke="#444"/>'
    return f'{line}<text x="0" y="12">{most:,}</text><text x="0" y="28">{name}</text><text x="0" y="{floor}">0</text>'


def _svg(height: int, drawn: Sequence[str]) -> str:
    return f'<svg viewBox="0 0 {WIDE} {height}" width="100%" role="img">{"".join(drawn)}</svg>'


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns) if any(columns) else ""
    body = "".join(f"<tr>{''.join(f'<td>{escape(visible(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{f'<tr>{head}</tr>' if head else ''}{body}</table>"
