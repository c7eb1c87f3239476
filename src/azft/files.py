"""Write files and folders that are either whole or not there: temporary name, fsync, rename."""

from __future__ import annotations

import filecmp
import hashlib
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from azft.processes import is_alive

BLOCK = 1 << 20
_NO_CODE = frozenset({"__pycache__", "venv", "node_modules"})
PRIVATE = 0o600
"""Rights of a file: what azft keeps are a user's data and models, and nobody else's business."""


def write_whole(path: Path, content: bytes) -> None:
    """Write the file under a temporary name, make it durable, and rename it into place; others may not read it."""
    aside = path.with_name(f".{path.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    sync_folder(path.parent)


@contextmanager
def scratch_folder(parent: Path, name: str = "scratch") -> Iterator[Path]:
    """Give a folder under a temporary name of this process; it is gone after the block, unless it was settled."""
    parent.mkdir(parents=True, exist_ok=True)
    aside = parent / f".{name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp"
    aside.mkdir()
    try:
        yield aside
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def settle(aside: Path, final: Path) -> None:
    """Make a filled folder durable and give it its name; one of that name that already exists is left alone.

    Whoever names folders by their content, or fills each once, loses nothing.
    """
    make_durable(aside)
    if not final.exists():
        aside.rename(final)
        sync_folder(final.parent)


@contextmanager
def whole_folder(final: Path) -> Iterator[Path]:
    """Give a folder to fill; it gets its final name only when the block ends well, else it is removed."""
    with scratch_folder(final.parent, final.name) as aside:
        yield aside
        settle(aside, final)


def remove_leftovers(folder: Path, *, alone: bool = False) -> None:
    """Remove what killed writers left under temporary names; living ones keep theirs, unless we are `alone` here."""
    for leftover in folder.glob(".*.tmp"):
        owner = leftover.name.rsplit(".", 2)[1].partition("-")[0]
        if not alone and owner.isdecimal() and is_alive(int(owner)):
            continue
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder at once and whole: whoever still writes into it finds no such folder, and brings none back.

    One that is gone is fine.
    """
    aside = folder.with_name(f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    with suppress(FileNotFoundError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def make_durable(folder: Path) -> None:
    """Flush every file and folder below `folder` to the disk, readable by their owner alone.

    Files that have another name elsewhere keep their rights, as they may be somebody else's.
    """
    for path in folder.rglob("*"):
        if path.is_dir():
            sync_folder(path)
        elif not path.is_symlink():
            with path.open("rb") as file:
                if os.fstat(file.fileno()).st_nlink == 1:
                    os.fchmod(file.fileno(), PRIVATE)
                os.fsync(file.fileno())
    sync_folder(folder)


def linked_or_copied(path: Path, target: Path) -> None:
    """Give a file a second name, or make a copy where the disk cannot."""
    try:
        os.link(path, target)
    except OSError:
        shutil.copyfile(path, target)


def share(original: Path, copy: Path) -> None:
    """Let every file below `copy` that is a copy of one of that name below `original` take no room of its own."""
    for path in original.rglob("*"):
        same = copy / path.relative_to(original)
        if not path.is_file() or not same.is_file() or path.samefile(same):
            continue
        if filecmp.cmp(path, same, shallow=False):
            aside = same.with_name(f".{same.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
            linked_or_copied(path, aside)
            aside.replace(same)


def sync_folder(folder: Path) -> None:
    """Make a rename inside the folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of the file's bytes as hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
    return digest.hexdigest()


def code_files(path: Path, folder: Path | None) -> dict[str, Path]:
    """Return the files that go with a script, by their names: itself, or its whole folder but for hidden files.

    Left out are also compiled modules and environments, which no other machine could use.
    """
    if folder is None:
        return {path.name: path}
    found: dict[str, Path] = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        hidden = any(part.startswith(".") or part in _NO_CODE for part in name.parts)
        if file.is_file() and not hidden:
            found[name.as_posix()] = file
    return found


def sha256_of_code(path: Path, folder: Path | None) -> str:
    """Return one SHA-256 over the names and bytes of the files that go with a script."""
    return _sha256_of_all(code_files(path, folder))


def sha256_of_folder(folder: Path) -> str:
    """Return one SHA-256 over the names and bytes of all files below the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return _sha256_of_all({path.relative_to(folder).as_posix(): path for path in files})


def _sha256_of_all(files: Mapping[str, Path]) -> str:
    digest = hashlib.sha256()
    for name, path in files.items():
        digest.update(f"{name}\0{sha256_of(path)}\n".encode())
    return digest.hexdigest()
