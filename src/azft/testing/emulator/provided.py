"""Data at addresses outside the workspace's store, for which files of this machine stand."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from urllib.parse import unquote, urlsplit

from azft.errors import ConfigurationError
from azft.testing.emulator.world import CONTAINER, PROVIDED, World, is_elsewhere


def provide(world: World, address: str, source: Path) -> None:
    """Keep a file or a folder as what is at an address elsewhere.

    Errors: `ConfigurationError` for an address in the workspace's own store, and for a path that is not there.
    """
    if not is_elsewhere(address):
        raise ConfigurationError(f"{address} is in the workspace's store", hint="upload to it with the SDK")
    if not source.exists():
        raise ConfigurationError(f"there is no {source}", hint="give a file or a folder")
    place = f"{PROVIDED}/{hashlib.sha256(address.encode()).hexdigest()[:16]}"
    files = [source] if source.is_file() else sorted(one for one in source.rglob("*") if one.is_file())
    name = unquote(urlsplit(address).path).rstrip("/").rpartition("/")[2]
    target = f"{place}/{name or source.name}"
    for file in files:
        aside = world.blobs.scratch(CONTAINER)
        shutil.copyfile(file, aside)
        blob = target if file == source else f"{target}/{file.relative_to(source).as_posix()}"
        world.blobs.keep(CONTAINER, blob, aside, "application/octet-stream", {})
    world.state.put(PROVIDED, place.rpartition("/")[2], {"address": address, "path": target})
