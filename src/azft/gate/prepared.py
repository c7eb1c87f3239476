"""Prepared data that can be looked at: a report, a page, and what the model will learn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from azft.domain import tables
from azft.domain.data import PreparedData
from azft.engine.loading import load_chat_tokenizer
from azft.files import write_whole
from azft.gate.highlight import first_rows, marked, spans, turns
from azft.gate.html_report import page
from azft.gate.report_tables import sections


@frozen
class DataReport:
    """What is known of prepared data; printed it is a table, and `path` is the same as a page with pictures."""

    data: PreparedData
    path: Path

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def _parts(self) -> list[Any]:
        return [tables.table(*section) for section in sections(self.data)]


@frozen
class PreparedDataset(PreparedData):
    """Prepared files as `DatasetPreparer` returns them: counts, digests and origin, and ways to look at them.

    `prepared.json` beside the files holds the same. `bad_rows.jsonl` has every bad row, `duplicates.jsonl` every row
    that repeats another, and `rejects.jsonl` the originals of those that were left out or changed.
    """

    def report(self) -> DataReport:
        """Write `report.html` beside the files, and return what prints as a table with a histogram."""
        path = self.folder / "report.html"
        write_whole(path, page(self).encode())
        return DataReport(self, path)

    def show(self, rows: int = 3, tokenizer: Any = None, *, limit: int = 0) -> None:
        """Print the first training conversations as the model reads them, what it learns in green and [[brackets]].

        `tokenizer` is a folder, a hub id or a loaded tokenizer; without one it is that of the preparer, and if there
        was none, the messages are shown as they are. `limit` is max_seq_length; what is behind it is not learned.
        """
        from rich.console import Console
        from rich.text import Text

        known = tokenizer if tokenizer is not None else self.tokenizer or None
        template = self.chat_template if tokenizer is None else ""
        reads = None if known is None else load_chat_tokenizer(known, chat_template=template)
        limit = limit or (self.tokens.limit if self.tokens else 0)
        console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
        for number, row in enumerate(first_rows(self.train.path, rows), start=1):
            console.rule(f"{self.name}, row {number}", align="left")
            parts = turns(row) if reads is None else spans(reads, row, limit)
            console.print(marked(parts) if parts else Text("nothing"))
