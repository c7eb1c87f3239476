"""Draw a description as plain text, with rich, imported only when something is printed. Nothing is displayed."""

from __future__ import annotations

import io
import math
import os
import shutil
import sys
from typing import TYPE_CHECKING, Any

from azft.escapes import visible
from azft.views.description import Bar, Cell, Curves, Histogram, Lines, Link, Marked, More, Part, Table, View

if TYPE_CHECKING:
    from rich.console import RenderableType

WIDEST, NARROWEST = 100, 60
"""Columns: a terminal's own number within these, and the most where the text goes elsewhere."""
BAR = 40
"""Characters of the longest bar."""
SPARKS = "▁▂▃▄▅▆▇█"
OPEN, CLOSE = "[[", "]]"
"""Around what is learned, where there is no colour."""


def as_text(view: View, *, width: int = 0, encoding: str = "") -> str:
    """Return the parts one under the other, or the one line of a value without parts.

    `width` is in columns, 0 for that of the terminal. What `encoding` (standard output's, unless given) has no sign for
    is written as ASCII or as an escape.
    """
    encoding = encoding or _encoding()
    if not view.parts:
        return encodable(view.summary, encoding)
    fancy = _can_draw(encoding)
    blocks = [_block(part, width or _width(), fancy=fancy) for part in view.parts]
    return encodable("\n\n".join(block for block in blocks if block) + "\n", encoding)


def as_line(view: View) -> str:
    """Return the one line of a value."""
    return encodable(view.summary, _encoding())


def encodable(text: str, encoding: str) -> str:
    r"""Return the text with what the encoding has no sign for as escapes.

    >>> encodable("naïve 日", "cp1252")
    'naïve \\u65e5'
    """
    return text.encode(encoding, "backslashreplace").decode(encoding)


def sparkline(values: list[float] | tuple[float, ...], length: int = 24) -> str:
    """Return the values as a row of small bars, the last of them where they are many.

    >>> sparkline([3.0, 2.0, 1.0, 1.5])
    '█▅▁▃'
    """
    shown = [value for value in values if math.isfinite(value)][-length:]
    low, high = min(shown, default=0.0), max(shown, default=0.0)
    step = (high - low) / (len(SPARKS) - 1) or 1.0
    return "".join(SPARKS[int((value - low) / step + 0.5)] for value in shown)


def _block(part: Part, width: int, *, fancy: bool) -> str:
    if isinstance(part, Lines):
        lines = [visible(line) for line in part.lines]
        return "\n".join([visible(part.title), *lines] if part.title else lines)
    if isinstance(part, More):
        return visible(f"{part.title}: {part.hint}") if part.hint else ""
    if isinstance(part, Histogram):
        return _drawn(_histogram(part), width, fancy=fancy)
    if isinstance(part, Curves):
        return _curves(part, fancy=fancy)
    return _drawn(part, width, fancy=fancy)


def _drawn(table: Table, width: int, *, fancy: bool) -> str:
    from rich.console import Console

    console = Console(
        record=True,
        width=width,
        file=io.StringIO(),
        force_terminal=False,
        force_jupyter=False,
        highlight=False,
        markup=False,
    )
    console.print(_table(table, width, fancy=fancy))
    lines = [line.rstrip() for line in console.export_text(styles=False).rstrip().splitlines()]
    return "\n".join(lines) + (f"\n{visible(table.note)}" if table.note else "")


def _table(part: Table, width: int, *, fancy: bool) -> RenderableType:
    from rich import box
    from rich.table import Table as RichTable

    named = any(part.columns)
    head = box.SIMPLE_HEAD if fancy else box.Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
    drawn = RichTable(
        title=visible(part.title) or None,
        box=head if named else None,
        title_justify="left",
        title_style="",
        pad_edge=False,
        show_header=named,
        padding=(0, 2, 0, 0) if not named else (0, 1),
    )
    for number, column in enumerate(part.columns):
        first = number == 0 and len(part.columns) > 1
        # A first column that would push the others out is folded like them, but the names in it that fit stay whole.
        lengths = [_length(row[number]) for row in part.rows]
        long = max(lengths, default=0) > width // 2
        most = width // 2 if first and long else None
        least = max((length for length in lengths if length <= most), default=None) if most else None
        drawn.add_column(visible(column), overflow="fold", no_wrap=first and not long, min_width=least, max_width=most)
    for row in part.rows:
        drawn.add_row(*(_cell(cell, fancy=fancy) for cell in row))
    return drawn


def _length(cell: Cell) -> int:
    text = cell if isinstance(cell, str) else cell.plain if isinstance(cell, Marked) else cell.text
    return max(map(len, text.splitlines()), default=0)


def _cell(cell: Cell, *, fancy: bool) -> Any:
    """Return the cell as literal text: square brackets in a user's value are not markup, and nothing is obeyed."""
    from rich.text import Text

    if isinstance(cell, Bar):
        return Text(f"{('█' if fancy else '#') * round(cell.share * BAR)} {visible(cell.text)}".strip())
    if isinstance(cell, Link):
        return Text(visible(cell.address))
    if isinstance(cell, Marked):
        return Text("".join(f"{OPEN}{visible(t)}{CLOSE}" if mark == "learned" else visible(t) for t, mark in cell.runs))
    return Text(visible(cell))


def _histogram(part: Histogram) -> Table:
    most = max((count for _start, _stop, count in part.bins), default=1)
    rows = []
    for start, stop, count in part.bins:
        within = part.limit > 0 and start <= part.limit < stop
        said = f"<- {part.limit_name} {part.limit:,}" if within else ""
        share = count / most if most else 0.0
        rows.append((f"{start:,} to {stop - 1:,}", f"{count:,}", Bar(max(share, 1 / BAR) if count else 0.0, said)))
    return Table(part.title, (part.unit, part.counted, ""), tuple(rows))


def _curves(part: Curves, *, fancy: bool) -> str:
    lines = [visible(part.title)]
    for name, points in part.lines.items():
        if points:
            values = [value for _step, value in points]
            drawn = f"  {sparkline(values, BAR)}" if fancy else ""
            lines.append(f"  {visible(name)}: {values[0]:.3f} to {values[-1]:.3f} over {len(values)} points{drawn}")
    return "\n".join(lines)


def _encoding() -> str:
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def _can_draw(encoding: str) -> bool:
    try:
        f"─█{SPARKS}".encode(encoding)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _width() -> int:
    if not sys.stdout.isatty() and "COLUMNS" not in os.environ:
        return WIDEST
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))
