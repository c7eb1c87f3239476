"""Rows of a dataset on the Hugging Face hub, streamed through `datasets`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from azft.domain.data import SourceRow
from azft.errors import DatasetError


def read_hub(rest: str, split: str) -> Iterator[SourceRow]:
    """Yield the rows of one split; `rest` is `OWNER/NAME`, with `@REVISION` after it where one is pinned."""
    name, _, revision = rest.partition("@")
    with _explained(rest):
        import datasets

        rows: Any = datasets.load_dataset(name, split=split, revision=revision or None, streaming=True)
        for number, row in enumerate(rows, start=1):
            yield SourceRow(row, f"hf://{rest} {split}", number)


def count_hub(rest: str, split: str) -> int | None:
    """Return the number of rows that the hub's description of the dataset gives, if it does."""
    name, _, revision = rest.partition("@")
    with _explained(rest):
        import datasets

        splits = datasets.load_dataset_builder(name, revision=revision or None).info.splits
        return int(splits[split].num_examples) if splits and split in splits else None


@contextmanager
def _explained(rest: str) -> Iterator[None]:
    """Translate what `datasets` and the hub raise: a missing dataset, a wrong split, no network, a private one."""
    try:
        yield
    except (OSError, ValueError, RuntimeError) as error:
        raise DatasetError(
            f"hf://{rest} could not be read: {error}",
            hint="check the name and the network; offline, use sample://ultrachat or file://",
        ) from error
