"""Step 3: any source becomes train.jsonl, validation.jsonl and test.jsonl, every row checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

import orjson
from attrs import evolve, frozen

from azft.discovery import load_plugins
from azft.domain.data import BadRow, DataFile, DataSettings, PreparedData, SourceRow
from azft.domain.jsonable import to_json
from azft.domain.specs import DatasetSpec, Reader
from azft.errors import ConfigurationError, DatasetError
from azft.files import remove_leftovers, scratch_folder, settle, sha256_of
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import Plugins
from azft.rules.chat import why_not_a_conversation
from azft.rules.sampling import choose, portion, share

WHOLE = 100.0
SPLITS = ("train", "validation", "test")


@frozen
class _Spool:
    """The checked rows of one split on disk, one JSON object a line, and how many of them are wanted."""

    path: Path
    rows: int
    wanted: int


class DatasetPreparer:
    """Prepares datasets below `folder`; the same source and settings give the same files and the same name.

    `percent`, `sample`, `validation`, `test` and `seed` are those of `DataSettings`.
    """

    def __init__(
        self,
        folder: str | Path = "data",
        *,
        percent: float = 100.0,
        sample: str = "first",
        validation: float = 0.1,
        test: float = 0.1,
        seed: int = 42,
        plugins: Plugins | None = None,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._settings = DataSettings(percent, sample, validation, test, seed)
        self._catalogue = Catalogue(plugins or load_plugins())

    def prepare(self, dataset: str | DatasetSpec) -> PreparedData:
        """Return the prepared files; rows are streamed, so memory does not grow with the data.

        Errors: `UnknownNameError` for a dataset or scheme nobody offers; `DatasetError` with every bad row, and for
        a source that cannot be read or a disk that cannot be written. Nothing half-written is left.
        """
        spec = self._catalogue.datasets.pick(dataset)
        if not spec.source:
            raise ConfigurationError(
                f"dataset {spec.name!r} has no source", hint="DatasetSpec(NAME, source='file://...')"
            )
        scheme, _, rest = spec.source.partition("://")
        reader = self._catalogue.readers.pick(scheme)
        with _disk_explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder)
            with scratch_folder(self._folder, "prepare") as work:
                return self._write(spec, reader, rest, work)

    def _write(self, spec: DatasetSpec, reader: Reader, rest: str, work: Path) -> PreparedData:
        bad: list[BadRow] = []
        files = work / "files"
        files.mkdir()
        train = self._spool(reader, rest, spec.train_split, work / "train.spool", bad)
        tests = self._spool(reader, rest, spec.test_split, work / "test.spool", bad) if spec.test_split else None
        if bad:
            raise DatasetError(
                f"{spec.source} has {len(bad):,} bad rows", bad, hint="repair or remove them; nothing was written"
            )
        if train.rows == 0:
            raise DatasetError(f"{spec.source} has no rows", hint="each row is an object with 'messages'")
        self._split(train, tests, files)
        return self._settle(spec, files)

    def _spool(self, reader: Reader, rest: str, split: str, path: Path, bad: list[BadRow]) -> _Spool:
        """Check the rows and put the good ones aside; where the first rows are wanted and counted, read no more."""
        known = reader.count(rest, split) if reader.count and self._settings.percent < WHOLE else None
        rows: Iterable[Any] = reader.read(rest, split)
        if known is not None and self._settings.sample == "first":
            rows = islice(rows, portion(known, self._settings.percent))
        written = 0
        with path.open("wb") as spool:
            for number, row in enumerate(rows, start=1):
                given = (
                    row if isinstance(row, SourceRow | BadRow) else SourceRow(row, f"{reader.scheme}://{rest}", number)
                )
                checked = _checked(given)
                if isinstance(checked, BadRow):
                    bad.append(checked)
                else:
                    spool.write(checked)
                    written += 1
        partial = known is not None and self._settings.sample == "first"
        return _Spool(path, written, written if partial else portion(written, self._settings.percent))

    def _split(self, train: _Spool, tests: _Spool | None, files: Path) -> None:
        settings = self._settings
        with _open_all(files) as out:
            rest = train.wanted
            to_test: Iterator[bool] = iter(())
            if tests is None:
                cut = share(rest, settings.test)
                to_test = choose(rest, cut, settings.seed + 1)
                rest -= cut
            else:
                out["test"].writelines(self._wanted(tests))
            to_validation = choose(rest, share(rest, settings.validation), settings.seed + 2)
            for line in self._wanted(train):
                if next(to_test, False):
                    out["test"].write(line)
                else:
                    out["validation" if next(to_validation, False) else "train"].write(line)

    def _wanted(self, spool: _Spool) -> Iterator[bytes]:
        with spool.path.open("rb") as lines:
            if self._settings.sample == "first":
                yield from islice(lines, spool.wanted)
            else:
                chosen = choose(spool.rows, spool.wanted, self._settings.seed)
                yield from (line for line, taken in zip(lines, chosen, strict=True) if taken)

    def _settle(self, spec: DatasetSpec, files: Path) -> PreparedData:
        made = {split: _described(files / f"{split}.jsonl") for split in SPLITS}
        for split in ("train", "test"):
            if made[split].rows == 0:
                raise DatasetError(
                    f"{spec.source} leaves no row to {split} with", hint="give more rows, or a larger share"
                )
        digest = hashlib.sha256("\n".join(made[split].sha256 for split in SPLITS).encode()).hexdigest()
        final = self._folder / f"{re.sub(r'[^A-Za-z0-9.-]+', '-', spec.name)}-{digest[:12]}"
        train, validation, test = (evolve(made[split], path=final / f"{split}.jsonl") for split in SPLITS)
        prepared = PreparedData(spec.name, spec.source, final, train, validation, test, self._settings, digest)
        (files / "prepared.json").write_bytes(to_json(prepared))
        settle(files, final)
        return prepared


def _checked(row: SourceRow | BadRow) -> bytes | BadRow:
    """Return the row as the component reads it, or why it is bad."""
    if isinstance(row, BadRow):
        return row
    reason = why_not_a_conversation(row.value)
    if reason:
        return BadRow(row.file, row.line, reason)
    messages = [{"role": message["role"], "content": message["content"]} for message in row.value["messages"]]
    return orjson.dumps({"messages": messages}) + b"\n"


def _described(path: Path) -> DataFile:
    with path.open("rb") as lines:
        rows = sum(1 for _line in lines)
    return DataFile(path, rows, sha256_of(path))


@contextmanager
def _open_all(folder: Path) -> Iterator[dict[str, BinaryIO]]:
    with (
        (folder / "train.jsonl").open("wb") as train,
        (folder / "validation.jsonl").open("wb") as validation,
        (folder / "test.jsonl").open("wb") as test,
    ):
        yield {"train": train, "validation": validation, "test": test}


@contextmanager
def _disk_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"data cannot be read or written ({error.filename or folder}): {error.strerror or error}",
            hint="free some space or choose another folder; nothing half-written was left",
        ) from error
