"""Prepared data that can be looked at: a report, a page, and what the model will learn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from attrs import frozen

from azft.domain import tables
from azft.domain.data import PreparedData
from azft.engine.counting import TokenCounter
from azft.files import write_whole
from azft.gate.page import page
from azft.gate.showing import first_conversations, marked, spans
from azft.gate.tables import sections


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

    `prepared.json` beside the files holds the same. `bad_rows.jsonl` has every bad row, and `rejects.jsonl` the
    originals of those that were left out or changed.
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
        counter = None if known is None else TokenCounter(known)
        limit = limit or (self.tokens.limit if self.tokens else 0)
        console = Console(file=sys.stdout, highlight=False, markup=False, soft_wrap=True)
        for number, messages in enumerate(first_conversations(self.train.path, rows), start=1):
            console.rule(f"{self.name}, row {number}", align="left")
            if counter is None:
                parts = [
                    (f"{message['role']}: {message['content']}\n", message["role"] == "assistant")
                    for message in messages
                ]
            else:
                parts = spans(counter, messages, limit)
            console.print(marked(parts) if parts else Text("nothing"))
