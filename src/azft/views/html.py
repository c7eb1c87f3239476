"""Draw a description as HTML: real tables, light and dark, narrow screens, no scripts, and everything escaped."""

from __future__ import annotations

import re

from attrs import evolve

from azft.views import pictures
from azft.views.description import Bar, Cell, Curves, Histogram, Lines, Link, Marked, More, Part, Table, View
from azft.views.pictures import said

_LIGHT = (
    "color-scheme:light;--azft-fg:#1b1b1b;--azft-bg:#ffffff;--azft-muted:#5c5c5c;--azft-line:#d9d9d9;"
    "--azft-accent:#2f6db0;--azft-second:#b3541e;--azft-bad:#b3261e;--azft-new:#d7f0d9;--azft-gone:#f8dcda"
)
_DARK = (
    "color-scheme:dark;--azft-fg:#e8e8e8;--azft-bg:#1e1f22;--azft-muted:#b0b0b0;--azft-line:#45464a;"
    "--azft-accent:#79b0ec;--azft-second:#f0a36b;--azft-bad:#ff9a91;--azft-new:#1f4a27;--azft-gone:#5b2522"
)
_THEMES = (
    f".azft{{{_LIGHT}}}"
    f"@media (prefers-color-scheme:dark){{.azft{{{_DARK}}}}}"
    # A notebook's own theme, where it says so, is stronger than what the system prefers.
    f'[data-jp-theme-light="true"] .azft,.vscode-light .azft{{{_LIGHT}}}'
    f'[data-jp-theme-light="false"] .azft,.vscode-dark .azft{{{_DARK}}}'
)
STYLE = (
    _THEMES
    + """
.azft{font:14px/1.45 system-ui,sans-serif;color:var(--azft-fg);background:var(--azft-bg);padding:.6em .9em;
 max-width:60em;box-sizing:border-box;container-type:inline-size;text-align:left;overflow-wrap:anywhere}
.azft table{border-collapse:collapse;margin:.2em 0 1em;width:auto;max-width:100%;font-size:inherit;color:inherit;
 background:none;border:0}
.azft th,.azft td{padding:.2em 1em .2em 0!important;text-align:left!important;vertical-align:top!important;border:0;
 border-bottom:1px solid var(--azft-line);overflow-wrap:anywhere;white-space:pre-wrap;color:inherit;max-width:44em}
.azft tr,.azft th,.azft td{background:none!important}.azft th{font-weight:600}
.azft td:first-child,.azft th{overflow-wrap:break-word;min-width:6.2em}
.azft caption{caption-side:top;text-align:left;font-weight:600;padding:.3em 0;color:inherit}
.azft .azft-head{font-weight:600;font-size:1.1em;margin:0 0 .2em}.azft p{margin:.2em 0 .8em}
.azft ul{margin:.2em 0 1em;padding-left:1.2em}.azft li{overflow-wrap:anywhere}
.azft summary{cursor:pointer;margin:.3em 0}.azft a{color:var(--azft-accent)}
.azft svg{width:100%;max-width:760px;height:auto;display:block;margin:.2em 0 1em}
.azft svg text{font:14px system-ui,sans-serif;fill:var(--azft-fg)}
.azft figure{margin:0}.azft figcaption{font-weight:600;padding:.3em 0}
.azft .azft-bar{display:inline-block;height:.8em;background:var(--azft-accent);margin-right:.5em;
 vertical-align:baseline}
.azft .azft-over{background:var(--azft-bad)}
.azft mark,.azft ins,.azft del{color:inherit;text-decoration:none;border-radius:2px}
.azft mark,.azft ins{background:var(--azft-new)}.azft del{background:var(--azft-gone)}
@container (max-width:560px){.azft svg text{font-size:20px}
.azft table,.azft tbody,.azft tr,.azft td,.azft caption{display:block}.azft thead{display:none}
.azft tr{border-bottom:1px solid var(--azft-line);padding:.3em 0}.azft td{border:0;padding:0!important}
.azft td[data-label]:before{content:attr(data-label) ": ";color:var(--azft-muted)}
.azft td:first-child{font-weight:600}}
"""
)
_SAFE = re.compile(r"(https?|file)://|[\w./-]+\Z")
"""Addresses that become links: pages, files, and files beside the page."""
_TAGS = {"learned": "mark", "new": "ins", "gone": "del"}


def as_html(view: View) -> str:
    """Return a fragment that brings its own style, for a notebook's cell."""
    return f"<style>{STYLE}</style>{_inner(view)}"


def as_page(view: View) -> str:
    """Return a whole page, which needs nothing from elsewhere."""
    outer = "html{color-scheme:light dark}body{margin:0}.azft{margin:0 auto;min-height:100vh}"
    head = (
        f'<meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{said(view.title)}</title><style>{STYLE}{outer}"
        "@media (prefers-color-scheme:dark){body{background:#1e1f22}}</style>"
    )
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{_inner(view)}</body></html>\n'


def _inner(view: View) -> str:
    head = f'<div class="azft-head">{said(view.title)}</div>'
    line = f"<p>{said(view.summary)}</p>" if view.summary and view.summary != view.title else ""
    return f'<div class="azft">{head}{line}{"".join(map(_part, _untitled(view)))}</div>'


def _untitled(view: View) -> tuple[Part, ...]:
    """Return the parts; a first one of the value's own title does not say it again."""
    first = view.parts[:1]
    same = bool(first) and first[0].title == view.title and not isinstance(first[0], More)
    return (evolve(first[0], title=""), *view.parts[1:]) if same else view.parts


def _part(part: Part) -> str:
    if isinstance(part, Lines):
        title = f"<p><b>{said(part.title)}</b></p>" if part.title else ""
        return title + "<ul>" + "".join(f"<li>{said(line)}</li>" for line in part.lines) + "</ul>"
    if isinstance(part, More):
        inner = "".join(map(_part, part.parts))
        return f"<details><summary>{said(part.title)}</summary>{inner}</details>"
    if isinstance(part, Histogram | Curves):
        drawn = pictures.histogram(part) if isinstance(part, Histogram) else pictures.curves(part)
        caption = f"<figcaption>{said(part.title)}</figcaption>" if part.title else ""
        return f"<figure>{caption}{drawn}</figure>"
    return _table(part)


def _table(part: Table) -> str:
    named = any(part.columns)
    caption = f"<caption>{said(part.title)}</caption>" if part.title else ""
    head = "".join(f'<th scope="col">{said(name)}</th>' for name in part.columns)
    body = "".join(
        f"<tr>{''.join(_cell(cell, name) for cell, name in zip(row, part.columns, strict=True))}</tr>"
        for row in part.rows
    )
    note = f"<p>{said(part.note)}</p>" if part.note else ""
    return f"<table>{caption}{f'<thead><tr>{head}</tr></thead>' if named else ''}<tbody>{body}</tbody></table>{note}"


def _cell(cell: Cell, column: str) -> str:
    label = f' data-label="{said(column)}"' if column else ""
    return f"<td{label}>{_content(cell)}</td>"


def _content(cell: Cell) -> str:
    if isinstance(cell, Bar):
        width = f"{cell.share * 12:.2f}em"
        over = " azft-over" if cell.over else ""
        return f'<span class="azft-bar{over}" style="width:{width}"></span>{said(cell.text)}'
    if isinstance(cell, Link):
        if not _SAFE.match(cell.address):
            return said(f"{cell.text} ({cell.address})")
        return f'<a href="{said(cell.address)}">{said(cell.text)}</a>'
    if isinstance(cell, Marked):
        return "".join(
            f"<{_TAGS[mark]}>{said(text)}</{_TAGS[mark]}>" if mark else said(text) for text, mark in cell.runs
        )
    return said(cell)
