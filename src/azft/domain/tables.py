"""Draw a table as plain text or HTML, with rich, imported only when something is printed."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from azft.escapes import visible

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

WIDEST, NARROWEST = 100, 60
"""Columns: a terminal's own number within these, and the most where the text goes elsewhere."""


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> RenderableType:
    """Return a rich table of text cells; the last column wraps. Without any name there is no head."""
    from rich import box
    from rich.table import Table

    shape = box.SIMPLE_HEAD if any(columns) else None
    drawn = Table(title=title or None, box=shape, title_justify="left", pad_edge=False, show_header=any(columns))
    for number, column in enumerate(columns):
        drawn.add_column(column, overflow="fold", no_wrap=number == 0 and len(columns) > 1)
    for row in rows:
        drawn.add_row(*(_plain(cell) for cell in row))
    return drawn


def as_text(parts: Sequence[RenderableType]) -> str:
    """Return the parts as plain text, one under the other."""
    return _drawn(parts, lambda console: console.export_text(styles=False)).rstrip() + "\n"


def as_html(parts: Sequence[RenderableType]) -> str:
    """Return the parts as an HTML fragment for a notebook."""
    return _drawn(parts, lambda console: console.export_html(inline_styles=True, code_format="<pre>{code}</pre>"))


def _drawn(parts: Sequence[RenderableType], export: Callable[[Console], str]) -> str:
    from rich.console import Console

    console = Console(
        record=True, width=_width(), file=io.StringIO(), force_terminal=False, highlight=False, markup=False
    )
    for part in parts:
        console.print(part)
    return export(console)


def _width() -> int:
    if not sys.stdout.isatty():
        return WIDEST
    return max(NARROWEST, min(WIDEST, shutil.get_terminal_size().columns))


def _plain(cell: str) -> RenderableType:
    """Return the cell as literal text: square brackets in a user's value are not markup, and nothing is obeyed."""
    from rich.text import Text

    return Text(visible(cell))
