"""Block blobs on the file system: content in one tree, properties in another, staged blocks in a third."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, unquote, urlencode

import orjson
from attrs import asdict, field, frozen

from azft.files import write_whole
from azft.testing.emulator.clock import iso

_FOLDER = "@"
"""Ends the name of every folder of the tree, so that the blobs `a` and `a/b` do not collide; no quoted name has it."""


@frozen
class Blob:
    """What is known about one blob; `md5` is base64, as the header has it."""

    name: str
    size: int
    etag: str
    modified: float
    content_type: str = "application/octet-stream"
    md5: str = ""
    metadata: dict[str, str] = field(factory=dict)


class Blobs:
    """The containers of one storage account."""

    def __init__(self, folder: Path) -> None:
        self._content = folder / "content"
        self._about = folder / "about"
        self._blocks = folder / "blocks"
        folder.mkdir(parents=True, exist_ok=True)
        key = folder / "key"
        if not key.exists():
            write_whole(key, secrets.token_bytes(32))
            key.chmod(0o600)
        self._key = key.read_bytes()

    def sas(self, container: str, *, hours: float = 8) -> str:
        """Return a shared access signature for everything in a container."""
        fields = {"sv": "2023-11-03", "sr": "c", "sp": "racwdl", "se": iso(time.time() + hours * 3600)[:19] + "Z"}
        return urlencode({**fields, "sig": self._signature(container, fields)})

    def allows(self, container: str, query: dict[str, str]) -> bool:
        """Whether the query holds a signature of this account for the container that has not expired."""
        fields = {name: query.get(name, "") for name in ("sv", "sr", "sp", "se")}
        genuine = hmac.compare_digest(self._signature(container, fields), query.get("sig", ""))
        return genuine and fields["se"] > iso(time.time())[:19]

    def get(self, container: str, name: str) -> Blob | None:
        """Return what is known about the blob, or None."""
        about = self._path(self._about, container, name)
        return Blob(**orjson.loads(about.read_bytes())) if about.is_file() else None

    def path(self, container: str, name: str) -> Path:
        """Return the file that holds the blob's bytes."""
        return self._path(self._content, container, name)

    def scratch(self, container: str) -> Path:
        """Return a new file to write incoming bytes to; hand it to `keep` or `stage`."""
        folder = self._blocks / quote(container, safe="")
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f".{uuid.uuid4().hex}.tmp"

    def keep(self, container: str, name: str, written: Path, content_type: str, metadata: dict[str, str]) -> Blob:
        """Give written bytes a blob's name."""
        path = self.path(container, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with written.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
        size = written.stat().st_size
        written.replace(path)
        md5 = base64.b64encode(digest.digest()).decode()
        return self._describe(container, Blob(name, size, _etag(), time.time(), content_type, md5, metadata))

    def stage(self, container: str, name: str, block: str, written: Path) -> None:
        """Put one block of a blob aside until the list of blocks comes."""
        target = self._staged(container, name) / quote(block, safe="")
        target.parent.mkdir(parents=True, exist_ok=True)
        written.replace(target)

    def commit(
        self, container: str, name: str, blocks: list[str], content_type: str, metadata: dict[str, str]
    ) -> Blob | None:
        """Make the blob of its staged blocks in that order; None if one was never staged."""
        staged = [self._staged(container, name) / quote(block, safe="") for block in blocks]
        if not all(path.is_file() for path in staged):
            return None
        whole = self.scratch(container)
        with whole.open("wb") as out:
            for path in staged:
                with path.open("rb") as block:
                    shutil.copyfileobj(block, out, 1 << 20)
        blob = self.keep(container, name, whole, content_type, metadata)
        shutil.rmtree(self._staged(container, name), ignore_errors=True)
        return blob

    def set_metadata(self, container: str, name: str, metadata: dict[str, str]) -> Blob | None:
        """Replace the blob's metadata."""
        blob = self.get(container, name)
        if blob is None:
            return None
        changed = Blob(name, blob.size, _etag(), time.time(), blob.content_type, blob.md5, metadata)
        return self._describe(container, changed)

    def delete(self, container: str, name: str) -> bool:
        """Delete the blob and return whether there was one."""
        about = self._path(self._about, container, name)
        known = about.is_file()
        about.unlink(missing_ok=True)
        self.path(container, name).unlink(missing_ok=True)
        return known

    def write(self, container: str, name: str, content: bytes) -> Blob:
        """Write a small blob at once."""
        aside = self.scratch(container)
        aside.write_bytes(content)
        return self.keep(container, name, aside, "application/octet-stream", {})

    def names(self, container: str, prefix: str = "") -> list[str]:
        """Return the names that begin with the prefix, in order."""
        root = self._about / quote(container, safe="")
        *folders, _last = prefix.split("/")
        begin = root.joinpath(*(quote(part, safe="") + _FOLDER for part in folders))
        found = (_name(path.relative_to(root)) for path in _files(begin))
        return sorted(name for name in found if name.startswith(prefix))

    def link(self, container: str, prefix: str, folder: Path) -> Path:
        """Give the blobs below a prefix (or the one blob of that name) as files in a folder; return what was asked for.

        The files are links where the disk can, so nothing is copied. A name that would leave the folder is skipped.
        """
        stem = prefix.rstrip("/")
        below = f"{stem}/" if stem else ""
        single = bool(stem) and self.get(container, stem) is not None
        names = [prefix] if single else self.names(container, below)
        base = prefix.rpartition("/")[0] + "/" if single else below
        for name in names:
            target = folder / name.removeprefix(base)
            if not target.resolve().is_relative_to(folder.resolve()):
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            try:
                os.link(self.path(container, name), target)
            except OSError:
                shutil.copyfile(self.path(container, name), target)
        return folder / prefix.removeprefix(base) if single else folder

    def copy(self, container: str, source: str, target: str) -> None:
        """Copy the blobs below a path, or the one of that name, to another path."""
        single = self.get(container, source) is not None
        for name in [source] if single else self.names(container, f"{source}/"):
            self.take(container, target + name.removeprefix(source), self.path(container, name))

    def take(self, container: str, name: str, file: Path) -> Blob:
        """Make a blob of a copy of a file."""
        aside = self.scratch(container)
        shutil.copyfile(file, aside)
        return self.keep(container, name, aside, "application/octet-stream", {})

    def publish(self, container: str, prefix: str, folder: Path) -> None:
        """Make blobs of all files below a folder."""
        for source in sorted(path for path in folder.rglob("*") if path.is_file()):
            aside = self.scratch(container)
            try:
                os.link(source, aside)
            except OSError:
                shutil.copyfile(source, aside)
            name = f"{prefix.rstrip('/')}/{source.relative_to(folder).as_posix()}"
            self.keep(container, name, aside, "application/octet-stream", {})

    def _describe(self, container: str, blob: Blob) -> Blob:
        about = self._path(self._about, container, blob.name)
        about.parent.mkdir(parents=True, exist_ok=True)
        write_whole(about, orjson.dumps(asdict(blob)))
        return blob

    def _path(self, tree: Path, container: str, name: str) -> Path:
        *folders, last = name.split("/")
        parts = [*(quote(part, safe="") + _FOLDER for part in folders), quote(last, safe="").replace(".", "%2E")]
        return tree.joinpath(quote(container, safe=""), *parts)

    def _staged(self, container: str, name: str) -> Path:
        digest = hashlib.sha256(name.encode()).hexdigest()
        return self._blocks / quote(container, safe="") / digest

    def _signature(self, container: str, fields: dict[str, str]) -> str:
        text = "\n".join([container, *fields.values()]).encode()
        return base64.b64encode(hmac.digest(self._key, text, "sha256")).decode()


def _etag() -> str:
    return f'"0x{uuid.uuid4().hex[:15].upper()}"'


def _name(path: Path) -> str:
    return "/".join(unquote(part.removesuffix(_FOLDER)) for part in path.parts)


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
