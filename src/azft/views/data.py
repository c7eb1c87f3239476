"""Give a description as plain data, which any JSON writer takes."""

from __future__ import annotations

from typing import Any

from azft.views.description import Bar, Cell, Curves, Histogram, Lines, Link, Marked, More, Part, View


def as_data(view: View) -> dict[str, Any]:
    """Return the description as mappings and lists.

    >>> as_data(View("Run", "run-1 completed"))
    {'title': 'Run', 'summary': 'run-1 completed', 'parts': []}
    """
    return {"title": view.title, "summary": view.summary, "parts": [_part(part) for part in view.parts]}


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, Lines):
        return {"title": part.title, "lines": list(part.lines)}
    if isinstance(part, More):
        return {"title": part.title, "parts": [_part(inner) for inner in part.parts]}
    if isinstance(part, Histogram):
        return {"title": part.title, "unit": part.unit, "limit": part.limit, "bins": [list(one) for one in part.bins]}
    if isinstance(part, Curves):
        return {"title": part.title, "lines": {name: [list(p) for p in points] for name, points in part.lines.items()}}
    return {"title": part.title, "columns": list(part.columns), "rows": [[_cell(c) for c in row] for row in part.rows]}


def _cell(cell: Cell) -> Any:
    if isinstance(cell, Bar):
        return {"share": cell.share, "text": cell.text}
    if isinstance(cell, Marked):
        return [{"text": text, "mark": mark} for text, mark in cell.runs]
    return {"text": cell.text, "address": cell.address} if isinstance(cell, Link) else cell
