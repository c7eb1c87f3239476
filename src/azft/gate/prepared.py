"""Prepared data that can be looked at: a report, a page, and what the model will learn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from azft.domain.data import PreparedData
from azft.engine.loading import load_chat_tokenizer
from azft.errors import AzftError
from azft.files import write_whole
from azft.gate.highlight import first_rows, marked, spans, turns
from azft.gate.report_view import described, page_of
from azft.views.description import Marked, View, Viewed
from azft.views.html import as_page

SAMPLES = 3
"""Training rows that the report shows."""


@frozen(repr=False)
class DataReport(Viewed):
    """What is known of prepared data; printed it is a table, and `path` is the same as a page with pictures."""

    data: PreparedData
    path: Path

    def view(self) -> View:
        """Describe everything that is known of the data."""
        return described(self.data)


@frozen(repr=False)
class PreparedDataset(PreparedData):
    """Prepared files as `DatasetPreparer` returns them: counts, digests and origin, and ways to look at them.

    `prepared.json` beside the files holds the same. `bad_rows.jsonl` has every bad row, `duplicates.jsonl` every row
    that repeats another, and `rejects.jsonl` the originals of those that were left out or changed.
    """

    def report(self) -> DataReport:
        """Write `report.html` beside the files, and return what prints as a table with a histogram."""
        path = self.folder / "report.html"
        write_whole(path, as_page(page_of(self, self._samples())).encode())
        return DataReport(self, path)

    def _samples(self) -> list[Marked]:
        """Return the first training rows, what is learned of them marked; plain turns where no tokenizer tells."""
        try:
            reads = load_chat_tokenizer(self.tokenizer, chat_template=self.chat_template) if self.tokenizer else None
        except AzftError:
            reads = None
        limit = self.tokens.limit if self.tokens else 0
        rows = [
            turns(row) if reads is None else spans(reads, row, limit) for row in first_rows(self.train.path, SAMPLES)
        ]
        return [Marked(tuple((text, "learned" if learned else "") for text, learned in parts)) for parts in rows]

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
