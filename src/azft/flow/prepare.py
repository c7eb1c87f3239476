"""Step 3: any source becomes train.jsonl, validation.jsonl and test.jsonl, every row checked."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
from attrs import evolve

from azft import __version__
from azft.discovery import load_plugins
from azft.domain.data import ACCEPTABLE, DataFile, DataSettings
from azft.domain.findings import Finding
from azft.domain.jsonable import to_dict, to_json
from azft.domain.rows import Part
from azft.domain.specs import DatasetSpec
from azft.engine.counting import TokenCounter
from azft.errors import ConfigurationError, DatasetError
from azft.files import remove_leftovers, scratch_folder, settle
from azft.gate.bad import BadRows
from azft.gate.choosing import chosen
from azft.gate.converting import Choice, detect, of_function
from azft.gate.counting import Counting
from azft.gate.dividing import renamed
from azft.gate.kept import MANIFEST, key_of, made_before
from azft.gate.passing import TEST, TRAIN, Gate, examined
from azft.gate.prepared import PreparedDataset
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import Plugins
from azft.progress import shown
from azft.sources.plain import parts_of

FILES = (TRAIN, "validation", TEST)
Splits = Mapping[str, Sequence[Part]]


class DatasetPreparer:
    """Prepares datasets below `folder`; the same source and settings give the same files and the same name.

    `percent`, `sample`, `validation`, `test`, `seed`, `on_bad`, `accept` and `keep` are those of `DataSettings`.
    `convert` is a function of your own that makes messages of a row. `tokenizer` (a folder, a hub id, or a loaded
    one), `max_seq_length` and `batch` tell what the tokens mean for training; `exact` counts every row, or none but
    those near the limit, where it is not left to the size of the data. `progress` shows a bar on a terminal.
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
        on_bad: str = "raise",
        accept: Collection[str] = (),
        keep: bool = False,
        convert: Callable[[Mapping[str, Any]], Any] | None = None,
        tokenizer: Any = None,
        max_seq_length: int = 0,
        batch: int = 1,
        exact: bool | None = None,
        progress: bool = True,
        plugins: Plugins | None = None,
    ) -> None:
        self._folder = Path(folder).absolute()
        self._settings = DataSettings(percent, sample, validation, test, seed, on_bad, accept, keep)
        self._convert = convert
        counter = None if tokenizer is None else TokenCounter(tokenizer)
        self._counting = Counting(counter, max(max_seq_length, 0), max(batch, 1), exact)
        self._progress = progress
        self._catalogue = Catalogue(plugins or load_plugins())

    def prepare(self, dataset: str | DatasetSpec) -> PreparedDataset:
        """Return the prepared files; rows are streamed, so memory does not grow with the data.

        The same request for the same content returns what is there. Errors: `UnknownNameError` for a dataset,
        converter or scheme nobody offers; `DatasetError` with the bad rows and the path of a report that has all of
        them, and for a source that cannot be read or a disk that cannot be written. Nothing half-written is left.
        """
        spec = self._catalogue.datasets.pick(dataset)
        with _disk_explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder)
            splits = self._splits(spec)
            choice = self._choice(spec, splits[TRAIN])
            key = self._key(spec, splits)
            return made_before(self._folder, key) or self._make(spec, splits, choice, key)

    def preview(self, dataset: str | DatasetSpec, rows: int = 5) -> Any:
        """Return the first rows of the source as a pandas frame, as they are; only a file's head is read."""
        import pandas as pd

        spec = self._catalogue.datasets.pick(dataset)
        return pd.DataFrame(examined(self._splits(spec, train_only=True)[TRAIN], rows))

    def _splits(self, spec: DatasetSpec, *, train_only: bool = False) -> Splits:
        if not spec.source:
            raise ConfigurationError(
                f"dataset {spec.name!r} has no source", hint="DatasetSpec(NAME, source='file://...')"
            )
        scheme, _, rest = spec.source.partition("://")
        reader = self._catalogue.readers.pick(scheme)
        splits = {TRAIN: parts_of(reader, rest, spec.train_split)}
        if spec.test_split and not train_only:
            splits[TEST] = parts_of(reader, rest, spec.test_split)
        return splits

    def _choice(self, spec: DatasetSpec, parts: Sequence[Part]) -> Choice:
        if self._convert is not None:
            return of_function(self._convert)
        if spec.converter:
            return Choice(self._catalogue.converters.pick(spec.converter), "as the dataset says")
        return detect(self._catalogue.converters, examined(parts), spec.columns)

    def _key(self, spec: DatasetSpec, splits: Splits) -> str:
        """Return a digest of the request and of the content it reads; empty if one of them cannot be told."""
        if self._convert is not None:
            return ""
        counting = self._counting
        how = [counting.counter.name if counting.counter else "", counting.limit, counting.batch, counting.exact]
        read = {split: chosen(parts, self._settings)[0] for split, parts in splits.items()}
        return key_of([__version__, to_dict(spec), to_dict(self._settings), how], read)

    def _make(self, spec: DatasetSpec, splits: Splits, choice: Choice, key: str) -> PreparedDataset:
        report = self._folder / f"{_file_name(spec.name)}-bad_rows.jsonl"
        with scratch_folder(self._folder, "prepare") as work, shown(enabled=self._progress) as steps:
            files = work / "files"
            files.mkdir()
            with BadRows(files / "bad_rows.jsonl", files / "rejects.jsonl") as bad:
                gate = Gate(self._settings, choice, self._counting, bad=bad, steps=steps, columns=spec.columns)
                sides = gate.check(splits, work)
            if gate.refused:
                (files / "bad_rows.jsonl").replace(report)
                raise DatasetError(
                    f"{spec.source} has {gate.refused:,} bad rows ({_by_code(bad)})",
                    bad.held,
                    hint=_hint(bad),
                    total=len(bad),
                    report=report,
                )
            if not any(flags.any() for _spool, flags in sides[:1]):
                raise DatasetError(f"{spec.source} has no rows", hint="each row is an object with 'messages'")
            report.unlink(missing_ok=True)
            made = gate.divide(sides, files)
            for split in (TRAIN, TEST):
                if made[split].rows == 0:
                    said = f"{spec.source} leaves no row to {split} with"
                    raise DatasetError(
                        said, hint="give more rows, or a larger share; rows with one prompt stay together"
                    )
            prepared = evolve(self._described(spec, made, gate, key), converter=str(choice))
            (files / MANIFEST).write_bytes(to_json(prepared))
            steps.stage("make durable")
            settle(files, prepared.folder)
            return prepared

    def _described(self, spec: DatasetSpec, made: Mapping[str, DataFile], gate: Gate, key: str) -> PreparedDataset:
        digest = hashlib.sha256("\n".join(made[split].sha256 for split in FILES).encode()).hexdigest()
        ours = hashlib.sha256(digest.encode() + orjson.dumps([to_dict(spec), to_dict(self._settings), key])).hexdigest()
        final = self._folder / f"{_file_name(spec.name)}-{ours[:12]}"
        ending = renamed(made, final)
        counter = self._counting.counter
        return PreparedDataset(
            spec.name,
            spec.source,
            final,
            ending[TRAIN],
            ending["validation"],
            ending[TEST],
            self._settings,
            digest,
            revision=gate.revision,
            version=__version__,
            key=key,
            tokenizer=counter.name if counter and Path(counter.name).exists() else "",
            checks=gate.checks.with_findings(*_few_rows(made[TRAIN], self._counting.batch)),
            tokens=gate.tokens.of_rows(made[TRAIN].rows) if gate.tokens else None,
        )


def _few_rows(train: DataFile, batch: int) -> list[Finding]:
    if train.rows >= batch:
        return []
    found = f"{train.rows:,} rows to train on are fewer than one batch of {batch:,}"
    return [Finding("AZFT-D008", "warning", "train", found, fix="more rows, or a smaller batch")]


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)


def _by_code(bad: BadRows) -> str:
    return ", ".join(f"{rows:,} {code}" for code, rows in sorted(bad.codes.items()))


def _hint(bad: BadRows) -> str:
    accept = sorted(set(bad.codes) & set(ACCEPTABLE))
    let = f"; accept={accept} lets them through" if set(bad.codes) <= set(ACCEPTABLE) else ""
    return f'repair or remove them, or on_bad="drop" leaves them out and on_bad="fix" mends what it can{let}'


@contextmanager
def _disk_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"data cannot be read or written ({error.filename or folder}): {error.strerror or error}",
            hint="free some space or choose another folder; nothing half-written was left",
        ) from error
