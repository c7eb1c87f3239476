"""Data that goes to a pipeline unread: a file or a folder, such as an MLTable, for each split that is there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import orjson

from azft import __version__
from azft.domain.checks import Checks
from azft.domain.data import DataFile, DataSettings
from azft.domain.findings import Finding
from azft.domain.jsonable import to_dict, to_json
from azft.domain.specs import DatasetSpec
from azft.errors import DatasetError
from azft.files import scratch_folder, settle, sha256_of, sha256_of_folder
from azft.gate.cache import MANIFEST
from azft.gate.own_data import TESTS, TRAINS
from azft.gate.prepared import PreparedDataset
from azft.rules.pipeline_inputs import MLTABLE
from azft.sources.files import of_split

NAMES = {"train": TRAINS, "validation": ("validation", "valid", "val"), "test": TESTS}
"""What the files or folders of a split begin with, most usual first."""


def as_it_is(spec: DatasetSpec, folder: Path) -> PreparedDataset:
    """Return the data as it lies there, by its digest; nothing of it is read as rows, and nothing is copied.

    A folder has a file or a folder for each split, called by its name; any other is the training data as a whole.

    Errors: `DatasetError` for a source that is not on this machine, and for one that is not there.
    """
    scheme, _, rest = spec.source.partition("://")
    if scheme != "file" or spec.rows is not None:
        raise DatasetError(
            f"{spec.source or spec.name} cannot go to the pipeline as it is: it is no file or folder of this machine",
            hint="download it, or give a trainer with a row format",
        )
    source = Path(rest).expanduser().absolute()
    if not source.exists():
        raise DatasetError(f"there is no {source}", hint="give a file, an MLTable folder, or a folder of splits")
    found = {split: _described(path) for split, path in split_paths(source).items()}
    missing = DataFile(source / "none", 0, "")
    train = found["train"]
    digest = hashlib.sha256("\n".join(file.sha256 for file in found.values()).encode()).hexdigest()
    ours = hashlib.sha256(digest.encode() + orjson.dumps(to_dict(spec))).hexdigest()
    prepared = PreparedDataset(
        spec.name,
        spec.source,
        folder / f"{spec.name.replace('/', '-')}-{ours[:12]}",
        train,
        found.get("validation", missing),
        found.get("test", missing),
        DataSettings(),
        digest,
        version=__version__,
        converter="as it is",
        checks=Checks(findings=tuple(findings_of(spec))),
    )
    if not prepared.folder.is_dir():
        with scratch_folder(folder, "prepare") as work:
            files = work / "files"
            files.mkdir()
            (files / MANIFEST).write_bytes(to_json(prepared))
            settle(files, prepared.folder)
    return prepared


def findings_of(spec: DatasetSpec) -> Iterator[Finding]:
    """Say that nobody looks at the data."""
    found = f"{spec.source} goes to the pipeline as it is: no row is read, so nothing of it is checked"
    yield Finding("AZFT-T010", "warning", spec.name, found, fix="a trainer with a row format checks every row")


def split_paths(source: Path) -> dict[str, Path]:
    """Return the file or folder of each split: of a folder that is no MLTable, by the names of what is in it."""
    if source.is_file() or (source / MLTABLE).is_file():
        return {"train": source}
    names = sorted(path.name for path in source.iterdir() if not path.name.startswith("."))
    found = {
        split: source / there[0]
        for split, words in NAMES.items()
        if (there := next((some for word in words if (some := of_split(names, word))), []))
    }
    return found if "train" in found else {"train": source}


def _described(path: Path) -> DataFile:
    return DataFile(path, 0, sha256_of_folder(path) if path.is_dir() else sha256_of(path), as_is=True)
