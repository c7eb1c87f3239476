"""Readers for `sample://`, `file://` and `hf://`."""

from __future__ import annotations

from collections.abc import Sequence

from azft.domain.rows import Part
from azft.domain.specs import Reader
from azft.errors import DatasetError
from azft.plugins import hookimpl
from azft.snapshot import sample_folder
from azft.sources.files import file_parts, parts_of_file
from azft.sources.hub import hub_parts

SAMPLE = "ultrachat"


@hookimpl
def azft_readers() -> list[Reader]:
    """Offer the sample, local files and the Hugging Face hub."""
    return [
        Reader("sample", parts=_sample_parts, near=True),
        Reader("file", parts=file_parts, near=True),
        Reader("hf", parts=hub_parts),
    ]


def _sample_parts(rest: str, split: str) -> Sequence[Part]:
    if rest != SAMPLE:
        raise DatasetError(f"sample://{rest} does not exist", hint=f"the only sample is sample://{SAMPLE}")
    path = sample_folder() / f"{split}.jsonl"
    if not path.is_file():
        raise DatasetError(f"sample://{rest} has no split {split!r}", hint="its splits are train_sft and test_sft")
    return parts_of_file(path)
