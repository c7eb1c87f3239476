"""Readers for `sample://`, `file://` and `hf://`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from azft.builtin.files import files_of, read_file
from azft.builtin.hub import count_hub, read_hub
from azft.domain.data import BadRow, SourceRow
from azft.domain.specs import Reader
from azft.errors import DatasetError
from azft.plugins import hookimpl
from azft.snapshot import sample_folder

SAMPLE = "ultrachat"


@hookimpl
def azft_readers() -> list[Reader]:
    """Offer the sample, local files and the Hugging Face hub."""
    return [
        Reader("sample", _read_sample, near=True),
        Reader("file", _read_files, near=True),
        Reader("hf", read_hub, count_hub),
    ]


def _read_sample(rest: str, split: str) -> Iterator[SourceRow | BadRow]:
    if rest != SAMPLE:
        raise DatasetError(f"sample://{rest} does not exist", hint=f"the only sample is sample://{SAMPLE}")
    path = sample_folder() / f"{split}.jsonl"
    if not path.is_file():
        raise DatasetError(f"sample://{rest} has no split {split!r}", hint="its splits are train_sft and test_sft")
    return read_file(path)


def _read_files(rest: str, split: str) -> Iterator[SourceRow | BadRow]:
    for path in files_of(Path(rest).expanduser(), split):
        yield from read_file(path)
