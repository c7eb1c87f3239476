"""A user's own data in one word: a name, a path, an address, or rows in memory become a dataset."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import evolve

from azft.domain.specs import DatasetSpec, OwnRows
from azft.errors import ConfigurationError, UnknownNameError
from azft.plugins.catalogue import Catalogue
from azft.sources.files import known_files, of_split
from azft.sources.hub import Address
from azft.sources.memory import own_rows
from azft.sources.opening import KINDS, kind_of

_PAGE = re.compile(r"https?://huggingface\.co/datasets/")
TRAINS, TESTS = ("train", "train_sft", "training"), ("test", "test_sft", "testing")
"""What splits are called, most usual first."""


def dataset_of(
    value: Any, catalogue: Catalogue, columns: Mapping[str, str] | None = None, *, whole: bool = False
) -> DatasetSpec:
    """Return the dataset of a name that is on offer, a path, an address, rows in memory, or a spec.

    `columns` are added to those of the spec. `whole` says that a path is meant as it is.

    Errors: `UnknownNameError` for a name that is neither on offer nor a file, `ConfigurationError` for a value that is
    none of these.
    """
    if whole and isinstance(value, str | Path) and Path(value).expanduser().exists():
        value = DatasetSpec(_name(Path(value).name), f"file://{value}")
    spec = value if isinstance(value, DatasetSpec) else _spec(value, catalogue)
    return evolve(spec, columns={**spec.columns, **columns}) if columns else spec


def unused_files(spec: DatasetSpec) -> list[str]:
    """Return the files or splits beside those that are used which look as if they were meant to be."""
    if spec.rows is not None:
        return [name for name in spec.rows.counts if name not in (spec.train_split, spec.test_split)]
    scheme, _, rest = spec.source.partition("://")
    folder = Path(rest).expanduser()
    if scheme != "file" or not folder.is_dir():
        return []
    names = [path.relative_to(folder).as_posix() for path in known_files(folder)]
    taken = {name for split in (spec.train_split, spec.test_split) if split for name in of_split(names, split)}
    return [name for name in names if name not in taken]


def _spec(value: Any, catalogue: Catalogue) -> DatasetSpec:
    if isinstance(value, Path):
        return _of_path(value)
    if not isinstance(value, str):
        return _of_rows(value)
    if "://" in value:
        return _of_address(value, catalogue)
    try:
        return catalogue.datasets.pick(value)
    except UnknownNameError as error:
        path = Path(value).expanduser()
        if path.exists() or kind_of(value) or any(sign in value for sign in "*?["):
            return _of_path(path)
        hint = f"{error.hint}; a file ends with {', '.join(KINDS)}"
        if re.fullmatch(r"[\w.-]+/[\w.-]+", value):
            hint = f"for a dataset of the hub write 'hf://{value}'"
        raise UnknownNameError(f"no dataset {value!r}, and no file of that name", hint=hint) from None


def _of_path(path: Path) -> DatasetSpec:
    train, test = TRAINS[0], ""
    if path.is_dir():
        names = [file.relative_to(path).as_posix() for file in known_files(path)]
        if len(names) == 1:
            return _of_path(path / names[0])
        train = next((split for split in TRAINS if of_split(names, split)), train)
        test = next((split for split in TESTS if of_split(names, split)), "")
    return DatasetSpec(_name(path.name), f"file://{path}", train_split=train, test_split=test)


def _of_address(source: str, catalogue: Catalogue) -> DatasetSpec:
    """Return what is known of the address, if it is that of a dataset on offer, or a dataset of its own.

    A revision or a configuration behind it is kept; a page of the hub and the library's own spelling are understood.
    """
    plain = _PAGE.sub("hf://", source).rstrip("/")
    plain = plain.replace("hf://datasets/", "hf://", 1)
    scheme, _, rest = plain.partition("://")
    known = next((spec for spec in catalogue.datasets if spec.source == plain), None)
    if known is None and scheme == "hf":
        name = Address.of(rest).name
        known = next((spec for spec in catalogue.datasets if spec.source == f"hf://{name}"), None)
        known = None if known is None else evolve(known, source=plain)
    return known or DatasetSpec(_name(rest.rpartition("/")[2]), plain)


def _of_rows(value: Any) -> DatasetSpec:
    rows: OwnRows = own_rows(value, TRAINS[0])
    train = next((split for split in TRAINS if split in rows.counts), "")
    if not train:
        said = f"dataset has the splits {', '.join(rows.counts)}, and none to train on"
        raise ConfigurationError(said, hint=f"call it {TRAINS[0]!r}")
    test = next((split for split in TESTS if split in rows.counts), "")
    return DatasetSpec(
        f"rows-{rows.content[:8]}", f"memory://{rows.content}", train_split=train, test_split=test, rows=rows
    )


def _name(text: str) -> str:
    """Return a legal name for a file: without endings, and without characters that names cannot have.

    >>> _name("tickets 2026.csv"), _name("*.jsonl"), _name("a@main")
    ('tickets-2026', 'data', 'a-main')
    """
    kind = kind_of(text)
    stem = text[: text.lower().index(kind)] if kind else text
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._").replace("..", ".") or "data"
