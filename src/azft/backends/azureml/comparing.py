"""What tuning changed, measured on this machine: the pipeline of Azure ML has no evaluation of its own.

The base model is what the job's import step left in storage, the tuned one is the job's output. The service is asked
where they are; where it says nothing, it is `azureml/RUN/OUTPUT/` of the default store, where Azure puts outputs by
default (inferred).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import orjson

from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import REPORT
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import output_uris
from azft.backends.azureml.jobs import DATA, OUTPUT
from azft.backends.azureml.steps import descendants
from azft.backends.azureml.storage import Storage
from azft.domain.evaluation import EvaluationReport
from azft.domain.jsonable import from_json
from azft.domain.run import Run
from azft.errors import NotFoundError, UnsupportedError
from azft.progress import shown
from azft.rules.text import prompt_print

IMPORT = "chat_completion_model_import"
IMPORTED = "output_dir"
BATCH = 8
SHOWN = 4
SPLITS = ("train", "validation", "test")
_LOGGER = logging.getLogger("azft")


def compare_models(clients: Clients, run: Run, tags: dict[str, str]) -> EvaluationReport:
    """Return the report; `tags` are the job's and say where its data is."""
    try:
        from azft.engine.compare import compare
        from azft.engine.loading import context_limit, load_chat_tokenizer, load_model, quiet
        from azft.engine.rendering import TemplateRefusalError
        from azft.engine.rows import Rows
        from azft.engine.weights import model_below
    except ImportError as error:
        raise UnsupportedError(
            f"comparing models needs {error.name} on this machine", hint="pip install 'azft[local]'"
        ) from None
    quiet()
    storage = Storage(clients)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azft-")))
        files = {split: _file(storage, run, tags, split, folder / split) for split in SPLITS}
        tuned = model_below(storage.download(_place(clients, run.id, OUTPUT), folder / "tuned"))
        base = model_below(storage.download(_place(clients, _import_step(clients, run), IMPORTED), folder / "base"))
        reads = load_chat_tokenizer(tuned)
        skipped = _trained_on(files)
        rows = (row for number, row in enumerate(_rows(files["test"])) if number not in skipped)
        encoded = [
            row for row in reads.encode_all(rows, context_limit(tuned, 0)) if not isinstance(row, TemplateRefusalError)
        ]
        asked = stack.enter_context(_questions())
        return compare(
            lambda: load_model(base),
            lambda: load_model(tuned),
            reads,
            Rows.of([row for row in encoded if row.learned]),
            trained_on=skipped,
            test=files["test"],
            train=files["train"],
            batch=BATCH,
            shown=SHOWN,
            say=_LOGGER.info,
            asked=asked,
        )


def report_of(clients: Clients, job: str) -> EvaluationReport:
    """Return the report that a job of azft's engine or a script has written itself: a few kilobytes."""
    with tempfile.TemporaryDirectory(prefix="azft-") as folder:
        path = Storage(clients).download(_place(clients, job, REPORT), Path(folder)) / "report.json"
        if not path.is_file():
            raise NotFoundError(f"the report of {job} was deleted", hint="submit the plan again")
        return from_json(EvaluationReport, path.read_bytes())


@contextmanager
def _questions() -> Iterator[Callable[[int, int], None]]:
    """Give what shows how many questions of how many have been answered."""
    with shown() as steps:
        told = 0

        def asked(done: int, total: int) -> None:
            nonlocal told
            if not told:
                steps.stage("questions answered", total)
            steps.advance(done - told)
            told = done

        yield asked


def _import_step(clients: Clients, run: Run) -> str:
    with translated(f"the steps of {run.id}"):
        steps = descendants(clients.workspace, run.id)
    for step in steps:
        if step.display_name == IMPORT:
            return str(step.run_id)
    raise NotFoundError(f"{run.id} has no step {IMPORT}, so its base model is not known")


def _place(clients: Clients, run_id: str, output: str) -> str:
    """Return where in the default store an output lies, as the service says; without a word, where it usually is."""
    with translated(f"output {output} of {run_id}"):
        address = str(output_uris(clients.workspace, run_id, (output,)).get(output) or "")
    path = address.partition("/paths/")[2]
    return path.rstrip("/") + "/" if path else f"azureml/{run_id}/{output}/"


def _file(storage: Storage, run: Run, tags: dict[str, str], split: str, folder: Path) -> Path:
    address = tags.get(f"{DATA}{split}", "")
    if not address:
        raise NotFoundError(f"{run.id} has no tag {DATA}{split}: azft did not submit it, so its data is not known")
    storage.download(address.partition("/paths/")[2], folder)
    found = [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []
    if not found:
        raise NotFoundError(f"the data of {run.id} was deleted, so nothing can be compared on it")
    return found[0]


def _rows(path: Path) -> Iterator[Any]:
    with path.open("rb") as lines:
        yield from map(orjson.loads, lines)


def _trained_on(files: Mapping[str, Path]) -> frozenset[int]:
    """Return the rows of the test file whose prompts stand in the training or validation rows."""
    known = {prompt_print(row["messages"]) for split in ("train", "validation") for row in _rows(files[split])}
    return frozenset(n for n, row in enumerate(_rows(files["test"])) if prompt_print(row["messages"]) in known)
