"""Step 3: any source becomes train.jsonl, validation.jsonl and test.jsonl, every row checked."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Unpack

import orjson
from attrs import evolve

from azft import __version__
from azft.discovery import load_plugins
from azft.domain.capabilities import EVERYTHING
from azft.domain.data import DataFile, DataOptions, DataSettings
from azft.domain.findings import Finding
from azft.domain.jsonable import to_dict, to_json
from azft.domain.row_formats import CHAT_FORMAT, RowFormat
from azft.domain.rows import BadRow
from azft.engine.loading import load_chat_tokenizer
from azft.engine.tokens import ChatTokenizer
from azft.errors import ConfigurationError, DatasetError
from azft.files import remove_leftovers, scratch_folder, settle
from azft.gate.as_is import as_it_is
from azft.gate.cache import MANIFEST, key_of, made_before
from azft.gate.gate import Gate
from azft.gate.judging import Policy, RowJudge
from azft.gate.own_data import dataset_of, unused_files
from azft.gate.prepared import PreparedDataset
from azft.gate.reading import TEST, TRAIN, Convert, Reading, first_rows, opened, parts_by_split
from azft.gate.refusal import no_rows, refusal
from azft.gate.rejects import BAD, Rejects
from azft.gate.sampling import chosen
from azft.gate.splitting import renamed
from azft.gate.template_check import TemplateCheck
from azft.gate.token_counts import Counting
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import Plugins
from azft.progress import shown
from azft.rules.data_findings import FEWEST, not_used, too_few

FILES = (TRAIN, "validation", TEST)
MOST_SKIPPED = 100
"""Rows that a preview passes over, looking for some that can be read."""
SAID_ALOUD = ("AZFT-D011", "AZFT-D012", "AZFT-D013", "AZFT-D016")
"""What is said while the data is prepared, beside its report: rows left out, files whose encoding was guessed, ..."""
_log = logging.getLogger("azft.data")


class DatasetPreparer:
    """Prepares datasets below `folder`; the same source and settings give the same files and the same name.

    `data` are settings, and keyword arguments of the names of `DataSettings` (`percent`, `sample`, `validation`,
    `test`, `seed`, `on_bad`, `duplicates`, `accept`, `keep`) the same one by one. `columns` maps the source's columns
    to those that converters know, and `convert` is a function of your own that makes messages of a row. `tokenizer` (a
    folder, a hub id, or a loaded one), `max_seq_length` and `batch` tell what the tokens mean for training, and the
    tokenizer's chat template whether it takes every row; `exact` counts every row, or none but those near the limit,
    where it is not left to the size of the data. `takes` is what may be trained on beside plain turns. `rows` is a row
    format, by name or as a value, where the task is not chat. `workers` is how
    many processes read local files (Parquet row groups, several files), by default one for each core, four at most,
    where a split has 256 MiB or more; each takes about 100 MiB of memory. `progress` shows a bar on a terminal.

    Errors: `ConfigurationError` for a setting that cannot be.
    """

    def __init__(
        self,
        folder: str | Path = "data",
        *,
        data: DataSettings | None = None,
        columns: Mapping[str, str] | None = None,
        convert: Convert | None = None,
        tokenizer: Any = None,
        max_seq_length: int = 0,
        batch: int = 1,
        exact: bool | None = None,
        takes: Collection[str] = EVERYTHING,
        rows: str | RowFormat = CHAT_FORMAT,
        workers: int | None = None,
        progress: bool = True,
        plugins: Plugins | None = None,
        **options: Unpack[DataOptions],
    ) -> None:
        self._folder = Path(folder).absolute()
        self._settings = data if data is not None and not options else DataSettings.of(options, data)
        self._columns = columns
        self._convert = convert
        known = tokenizer is None or isinstance(tokenizer, ChatTokenizer)
        self._tokenizer: ChatTokenizer | None = tokenizer if known else load_chat_tokenizer(tokenizer)
        self._counting = Counting(self._tokenizer, max(max_seq_length, 0), max(batch, 1), exact)
        self._takes = frozenset(takes)
        self._workers = at_least_one(workers)
        self._progress = progress
        self._catalogue = Catalogue(plugins or load_plugins())
        self._rows = self._catalogue.row_formats.pick(rows)

    def prepare(self, dataset: Any) -> PreparedDataset:
        """Return the prepared files; rows are streamed, so memory does not grow with the data.

        `dataset` is a name on offer, a `DatasetSpec`, a path, an address such as hf://OWNER/NAME, a pandas frame, a
        `datasets.Dataset`, a list of rows, or a mapping of splits to rows.

        The same request for the same content returns what is there. Errors: `UnknownNameError` for a dataset,
        converter or scheme nobody offers; `DatasetError` with the bad rows and the path of a report that has all of
        them, and for a source that cannot be read or a disk that cannot be written. Nothing half-written is left.
        """
        spec = dataset_of(dataset, self._catalogue, self._columns)
        with _disk_explained(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            remove_leftovers(self._folder)
            if self._rows.as_is:
                return as_it_is(spec, self._folder)
            reading = opened(spec, self._catalogue, self._convert, self._rows)
            key = self._key(reading)
            prepared = made_before(self._folder, key) or self._make(reading, key)
        for finding in prepared.checks.findings:
            if finding.code in SAID_ALOUD:
                _log.warning("%s: %s", finding.subject, finding.found)
        return prepared

    def preview(self, dataset: Any, rows: int = 5) -> Any:
        """Return the first rows of the source as a pandas frame, as they are; only a file's head is read.

        Rows that cannot be read are left out; the log says which, and so does the frame's `attrs["skipped"]`.
        """
        import pandas as pd

        spec = dataset_of(dataset, self._catalogue, self._columns)
        with _disk_explained(self._folder):
            parts = parts_by_split(spec, self._catalogue, train_only=True)[TRAIN]
            good: list[Any] = []
            skipped: list[BadRow] = []
            for row in first_rows(parts, rows + MOST_SKIPPED):
                if isinstance(row, BadRow):
                    skipped.append(row)
                elif not isinstance(row.value, dict):
                    said = "a value that is no object"
                    skipped.append(BadRow(row.file, row.line, said, "AZFT-R005", "one object for each conversation"))
                else:
                    good.append(row.value)
                if len(good) == rows:
                    break
        notes = dict.fromkeys(f"{part.file}: {note}" for part in parts for note in part.notes)
        for said in (*notes, *map(str, skipped)):
            _log.warning("%s", said)
        if skipped and not good:
            raise DatasetError(
                f"{spec.source} has no row that can be read", skipped, hint="fix the rows that are named"
            )
        frame = pd.DataFrame(good)
        frame.attrs["skipped"] = [str(row) for row in skipped]
        return frame

    def _key(self, reading: Reading) -> str:
        """Return a digest of the request and of the content it reads; empty if one of them cannot be told."""
        if self._convert is not None:
            return ""
        counting = self._counting
        name = counting.tokenizer.name if counting.tokenizer else ""
        template = counting.tokenizer.template.source if counting.tokenizer else ""
        how: list[Any] = [name, template, counting.limit, counting.batch, counting.exact, sorted(self._takes)]
        if not self._rows.chats:
            if self._rows.check is not None and not self._rows.check.__module__.startswith("azft."):
                return ""  # Nobody can tell whether somebody else's function is still the same.
            how.append([self._rows.name, list(self._rows.names), list(self._rows.asks)])
        read = {split: chosen(parts, self._settings)[0] for split, parts in reading.splits.items()}
        return key_of([__version__, to_dict(reading.spec), to_dict(self._settings), how], read)

    def _make(self, reading: Reading, key: str) -> PreparedDataset:
        spec = reading.spec
        report = self._folder / f"{_file_name(spec.name)}-{BAD}"
        with scratch_folder(self._folder, "prepare") as work, shown(enabled=self._progress) as steps:
            files = work / "files"
            files.mkdir()
            policy = Policy.of(self._settings, spec.leave_out)
            judge = RowJudge(reading.converter, policy, TemplateCheck(self._tokenizer, self._takes))
            with Rejects(files) as rejects:
                gate = Gate(
                    self._settings, reading, judge, self._counting, rejects=rejects, steps=steps, workers=self._workers
                )
                sides = gate.check(work)
            if rejects.refused:
                raise refusal(spec.source, rejects, files, report)
            if not any(flags.any() for _spool, flags in sides[:1]):
                raise no_rows(spec.source, rejects)
            report.unlink(missing_ok=True)
            made = gate.divide(sides, files)
            trained_on = gate.trained_on(sides)
            for split, rows in ((TRAIN, made[TRAIN].rows), (TEST, made[TEST].rows - len(trained_on))):
                if rows <= 0:
                    said = f"{spec.source} leaves no row to {split} with"
                    trained = " whose prompt is not trained on" if made[split].rows else ""
                    hint = "give more rows, or a larger share; rows with one prompt stay together"
                    raise DatasetError(said + trained, hint='duplicates="drop"' if trained else hint)
            prepared = evolve(
                self._described(reading, made, gate, key), converter=str(reading.converter), trained_on=trained_on
            )
            (files / MANIFEST).write_bytes(to_json(prepared))
            steps.stage("make durable")
            settle(files, prepared.folder)
        return prepared

    def _described(self, reading: Reading, made: Mapping[str, DataFile], gate: Gate, key: str) -> PreparedDataset:
        spec = reading.spec
        digest = hashlib.sha256("\n".join(made[split].sha256 for split in FILES).encode()).hexdigest()
        ours = hashlib.sha256(digest.encode() + orjson.dumps([to_dict(spec), to_dict(self._settings), key])).hexdigest()
        final = self._folder / f"{_file_name(spec.name)}-{ours[:12]}"
        ending = renamed(made, final)
        tokenizer = self._counting.tokenizer
        wanted = self._settings.validation > 0
        least = FEWEST if self._rows.chats else self._rows.least
        few = too_few(spec.name, made[TRAIN].rows, made["validation"].rows, wanted=wanted, pipeline=False, least=least)
        more = [*_few_rows(made[TRAIN], self._counting.batch), *few, *not_used(spec.name, unused_files(spec))]
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
            tokenizer=tokenizer.name if tokenizer and Path(tokenizer.name).exists() else "",
            checks=gate.checks.with_findings(*more),
            tokens=gate.tokens.of_rows(made[TRAIN].rows) if gate.tokens else None,
            chat_template=tokenizer.given_template if tokenizer else "",
        )


def at_least_one(workers: int | None) -> int | None:
    """Return a number of processes that can be, or None; `ConfigurationError` for any other."""
    if workers is not None and (not isinstance(workers, int) or isinstance(workers, bool) or workers < 1):
        raise ConfigurationError(f"workers is {workers!r}, expected a whole number of processes, at least 1")
    return workers


def _few_rows(train: DataFile, batch: int) -> list[Finding]:
    if train.rows >= batch:
        return []
    found = f"{train.rows:,} rows to train on are fewer than one batch of {batch:,}"
    return [Finding("AZFT-D008", "warning", "train", found, fix="more rows, or a smaller batch")]


def _file_name(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "-", name)


@contextmanager
def _disk_explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DatasetError(
            f"data cannot be read or written ({error.filename or folder}): {error.strerror or error}",
            hint="free some space or choose another folder; nothing half-written was left",
        ) from error
