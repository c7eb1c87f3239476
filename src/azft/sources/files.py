"""The files of a local source, and the parts they are read in."""

from __future__ import annotations

import glob
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from azft.domain.rows import Part
from azft.errors import DatasetError
from azft.escapes import visible
from azft.rules.suggest import near
from azft.sources.json_files import json_part
from azft.sources.opening import COMPRESSED, KINDS, kind_of
from azft.sources.parquet import path_parts
from azft.sources.tables import table_part

SHEETS = (".xlsx", ".xls", ".ods")
_PARTS: dict[str, Callable[[Path], list[Part]]] = {
    ".jsonl": lambda path: [json_part(path, by_line=True)],
    ".ndjson": lambda path: [json_part(path, by_line=True)],
    ".json": lambda path: [json_part(path, by_line=False)],
    ".csv": lambda path: [table_part(path)],
    ".tsv": lambda path: [table_part(path)],
    ".parquet": path_parts,
}


def file_parts(rest: str, split: str) -> Sequence[Part]:
    """Return the parts of one split of `file://REST`."""
    return [part for path in files_of(Path(rest).expanduser(), split) for part in parts_of_file(path)]


def parts_of_file(path: Path) -> list[Part]:
    """Return the parts of one file; `DatasetError` if its kind is not known."""
    kind = kind_of(path.name)
    if not kind:
        known = f"azft reads {', '.join(KINDS)}; all but .parquet with {', '.join(COMPRESSED)} behind it too"
        if path.suffix.lower() in SHEETS:
            known = "save it as CSV: in Excel, File > Save As > CSV UTF-8"
        raise DatasetError(f"{path}: unknown kind of file", hint=known)
    if not _is_text(path.name):
        said = f"{visible(str(path))}: the name is not valid UTF-8, so it cannot be named in a report"
        raise DatasetError(said, hint="rename the file")
    return _PARTS[kind](path)


def files_of(source: Path, split: str) -> list[Path]:
    """Return the files of one split: a file or a glob is taken as it is, a folder is searched for the split's files.

    In a folder the split `train` is in `train.jsonl`, `train-00000-of-00002.parquet`, `train/...` and the like.
    """
    if source.is_file():
        return [source]
    if source.is_dir():
        known = known_files(source)
        names = of_split([path.relative_to(source).as_posix() for path in known], split)
        if not names:
            said = ", ".join(str(path.relative_to(source)) for path in known[:5]) or f"no {', '.join(KINDS)} file"
            hint = "give the DatasetSpec train_split= and test_split= as the files are called, or a file or glob"
            raise DatasetError(f"{source} has no file of the split {split!r}; it has {said}", hint=hint)
        return [source / name for name in names]
    found = [Path(name) for name in sorted(glob.glob(str(source), recursive=True)) if Path(name).is_file()]
    if not found:
        raise DatasetError(f"no file {source}", hint=_nearest(source))
    return found


def known_files(folder: Path) -> list[Path]:
    """Return the files of a folder that can be read, without hidden ones and those of hidden folders."""
    found = (path for path in folder.rglob("*") if kind_of(path.name) and path.is_file())
    return sorted(path for path in found if not any(part[0] == "." for part in path.relative_to(folder).parts))


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def of_split(names: Sequence[str], split: str) -> list[str]:
    """Return those of the relative file names that belong to the split.

    >>> of_split(["data/train_sft-00000-of-00003.parquet", "data/test_sft-00000-of-00001.parquet"], "train_sft")
    ['data/train_sft-00000-of-00003.parquet']
    """
    named = re.compile(rf"(.*[.-])?{re.escape(split)}([.-].*|_\d.*)?")

    def belongs(name: str) -> bool:
        *folders, last = name.split("/")
        return any(named.fullmatch(part) for part in (*folders, last.partition(".")[0] or last))

    return [name for name in names if belongs(name)]


def _nearest(source: Path) -> str:
    """Return what may have been meant: a file of nearly that name beside it."""
    path = source.expanduser()
    beside = [file.name for file in path.parent.iterdir() if kind_of(file.name)] if path.parent.is_dir() else []
    meant = near(path.name, beside)
    return f"did you mean {meant!r}?" if meant else "give a file, a glob such as chats/*.jsonl, or a folder"
