"""Datasets on the Hugging Face hub: Parquet by byte ranges, anything else streamed through `datasets`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

from attrs import evolve, frozen

from azft.domain.rows import Chunk, Part, Wanted, only
from azft.errors import DatasetError
from azft.sources.files import of_split
from azft.sources.grouping import together
from azft.sources.parquet import ParquetSource, footer
from azft.sources.parquet import parts_of as parquet_parts
from azft.sources.ranges import RangeFile, explained

_ADDRESS = re.compile(r"(?P<name>[\w.-]+(?:/[\w.-]+)?)(?:/(?P<config>[\w.-]+))?(?:@(?P<revision>[\w./-]+))?")


@frozen
class Address:
    """`OWNER/NAME`, with `/CONFIG` and `@REVISION` behind it where they are wanted."""

    name: str
    config: str = ""
    revision: str = ""

    @classmethod
    def of(cls, rest: str) -> Address:
        """Read what stands behind `hf://`.

        >>> Address.of("HuggingFaceH4/ultrachat_200k@main")
        Address(name='HuggingFaceH4/ultrachat_200k', config='', revision='main')
        """
        found = _ADDRESS.fullmatch(rest)
        if found is None:
            raise DatasetError(f"hf://{rest} is no address", hint="hf://OWNER/NAME, hf://OWNER/NAME/CONFIG@REVISION")
        return cls(**{name: value or "" for name, value in found.groupdict().items()})


def hub_parts(rest: str, split: str) -> Sequence[Part]:
    """Return the parts of one split: row groups of its Parquet files, or one part that is streamed."""
    address = Address.of(rest)
    with explained(f"hf://{rest}"):
        from huggingface_hub import HfApi

        api = HfApi(endpoint=os.environ.get("HF_ENDPOINT"))
        info = api.dataset_info(address.name, revision=address.revision or None, files_metadata=True)
        files = {sibling.rfilename: sibling for sibling in info.siblings or ()}
        chosen = _files_of_split(info.card_data, sorted(files), address, split)
        if not chosen or not all(name.endswith(".parquet") for name in chosen):
            return [_streamed(rest, evolve(address, revision=info.sha or address.revision), split)]
        parts: list[Part] = []
        for name in chosen:
            source = _remote(api, address, info.sha or "", files[name])
            parts += parquet_parts(source)
        return parts


def _remote(api: Any, address: Address, revision: str, file: Any) -> ParquetSource:
    from huggingface_hub import hf_hub_url
    from huggingface_hub.utils import build_hf_headers

    shown = f"hf://{address.name}/{file.rfilename}"
    url = hf_hub_url(
        address.name, file.rfilename, repo_type="dataset", revision=revision or None, endpoint=api.endpoint
    )
    stream = RangeFile(shown, url, file.size, build_hf_headers)
    return ParquetSource(shown, lambda: stream, footer(shown, stream), version=f"{file.blob_id}", revision=revision)


def _files_of_split(card: Any, names: Sequence[str], address: Address, split: str) -> list[str]:
    """Return the split's files: as the dataset's card says, or else as they are named."""
    configs = (card.to_dict() if card else {}).get("configs") or []
    if configs:
        patterns = _patterns(_config(configs, address), split)
        return [name for name in names if any(fnmatch(name, pattern) for pattern in patterns)]
    below = [name for name in names if not address.config or name.startswith(f"{address.config}/")]
    return of_split([name for name in below if name.endswith(".parquet")], split)


def _config(configs: Sequence[Mapping[str, Any]], address: Address) -> Mapping[str, Any]:
    names = [str(config.get("config_name", "default")) for config in configs]
    if address.config or len(configs) > 1:
        wanted = address.config or next(
            (name for name, c in zip(names, configs, strict=True) if c.get("default")), "default"
        )
        if wanted not in names:
            hint = f"hf://{address.name}/CONFIG with one of {', '.join(names[:12])}"
            raise DatasetError(f"hf://{address.name} has no configuration {wanted!r}", hint=hint)
        return configs[names.index(wanted)]
    return configs[0]


def _patterns(config: Mapping[str, Any], split: str) -> list[str]:
    """Return the patterns of a split from any of the forms that a card may give them in."""
    given = config.get("data_files") or []
    if isinstance(given, Mapping):
        given = [{"split": name, "path": path} for name, path in given.items()]
    if isinstance(given, str):
        given = [given]
    entries = [entry if isinstance(entry, Mapping) else {"split": "train", "path": entry} for entry in given]
    paths: list[Any] = [entry.get("path") for entry in entries if entry.get("split") == split]
    if not paths:
        known = ", ".join(dict.fromkeys(str(entry.get("split")) for entry in entries)) or "none"
        raise DatasetError(f"the dataset has no split {split!r}; it has {known}", hint="DatasetSpec(train_split=...)")
    return [str(pattern) for path in paths for pattern in (path if isinstance(path, list) else [path])]


def _streamed(rest: str, address: Address, split: str) -> Part:
    return Part(
        f"hf://{rest} {split}",
        partial(_read_stream, rest, address, split),
        partial(_count_stream, rest, address, split),
        content=lambda: address.revision,
        revision=address.revision,
    )


def _read_stream(
    rest: str, address: Address, split: str, wanted: Wanted | None, _columns: tuple[str, ...] = ()
) -> Iterator[Chunk]:
    _not_shadowed(address, rest)
    with explained(f"hf://{rest}"):
        import datasets

        rows: Any = datasets.load_dataset(
            address.name, address.config or None, split=split, revision=address.revision or None, streaming=True
        )
        yield from together(f"hf://{rest} {split}", only(enumerate(rows, start=1), wanted), "row")


def _not_shadowed(address: Address, rest: str) -> None:
    """Refuse a name that is a folder here, too: the library that streams from the hub would take the folder."""
    if Path(address.name).exists():
        raise DatasetError(
            f"hf://{rest} is meant to be on the hub, and a folder {address.name} is here, which would be read instead",
            hint="start in another folder, or rename that one; file:// reads the folder",
        )


def _count_stream(rest: str, address: Address, split: str) -> int:
    """Return the number of rows that the dataset's description gives, or else count them."""
    _not_shadowed(address, rest)
    with explained(f"hf://{rest}"):
        import datasets

        builder = datasets.load_dataset_builder(address.name, address.config or None, revision=address.revision or None)
        splits = builder.info.splits
        if splits and split in splits:
            return int(splits[split].num_examples)
        return sum(len(chunk.numbers) for chunk in _read_stream(rest, address, split, None))
