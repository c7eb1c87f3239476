"""What earlier requests made, found again by a digest of the request and of the content that it reads."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve

from azft.domain.jsonable import from_json
from azft.domain.rows import Part
from azft.files import sha256_of
from azft.gate.prepared import PreparedDataset

MANIFEST = "prepared.json"
LAYOUT = 5
"""Grows when the same request would give other files than before, so that none is taken from an older azft."""
_log = logging.getLogger("azft.data")


def key_of(request: Sequence[Any], read: Mapping[str, Sequence[Part]]) -> str:
    """Return the digest of a request and of the parts it reads; empty if the content of one cannot be told."""
    digest = hashlib.sha256(orjson.dumps([LAYOUT, *request], default=str))
    for split, parts in read.items():
        for part in parts:
            content = part.content()
            if not content:
                return ""
            digest.update(f"{split}\0{part.file}\0{content}\n".encode())
    return digest.hexdigest()


def made_before(folder: Path, key: str) -> PreparedDataset | None:
    """Return what an earlier request of this key made below the folder, if its files are still what they were."""
    for manifest in folder.glob(f"*/{MANIFEST}") if key else ():
        text = manifest.read_bytes()
        if orjson.loads(text).get("key") != key:
            continue
        found = _here(from_json(PreparedDataset, text), manifest.parent)
        files = (found.train, found.validation, found.test)
        if all(file.path.is_file() and sha256_of(file.path) == file.sha256 for file in files):
            return found
        _log.warning("%s was changed since it was made, so it is made again", manifest.parent)
        shutil.rmtree(manifest.parent)
    return None


def _here(prepared: PreparedDataset, folder: Path) -> PreparedDataset:
    """Return the dataset as it lies in the folder, which may have been moved with all it holds."""
    train, validation, test = (
        evolve(file, path=folder / file.path.name) for file in (prepared.train, prepared.validation, prepared.test)
    )
    return evolve(prepared, folder=folder, train=train, validation=validation, test=test)
