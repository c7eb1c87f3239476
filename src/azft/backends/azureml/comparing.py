"""What tuning changed, measured on this machine: the pipeline of Azure ML has no evaluation of its own.

The base model is what the job's import step left in storage, the tuned one is the job's output. The service is asked
where they are; where it says nothing, it is `azureml/RUN/OUTPUT/` of the default store, where Azure puts outputs by
default (inferred).
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.commands import REPORT, TUNED
from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import output_uris
from azft.backends.azureml.jobs import DATA
from azft.backends.azureml.steps import descendants
from azft.backends.azureml.storage import Storage
from azft.domain.evaluation import Answer, EvaluationReport
from azft.domain.jsonable import from_json
from azft.domain.run import Run
from azft.domain.splits import SPLITS
from azft.errors import NotFoundError, UnsupportedError
from azft.progress import shown
from azft.stages.judge import ANSWERS
from azft.stages.judge import REPORT as JUDGED

IMPORT = "chat_completion_model_import"
IMPORTED = "output_dir"
_LOGGER = logging.getLogger("azft")


def compare_models(clients: Clients, run: Run, tags: dict[str, str]) -> EvaluationReport:
    """Return the report, made on this machine; `tags` are the job's and say where its data is."""
    try:
        from azft.stages.judging import judged
    except ImportError as error:
        raise _missing(error) from None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azft-")))
        storage = Storage(clients)
        files = {split: _file(storage, run, tags, split, folder / split) for split in SPLITS}
        base, tuned = _models(clients, storage, run, folder)
        asked = stack.enter_context(_questions())
        return judged(base, tuned, files, say=_LOGGER.info, asked=asked)


def ask_models(clients: Clients, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
    """Return both models' answers to questions, given on this machine."""
    try:
        from azft.stages.judging import answered
    except ImportError as error:
        raise _missing(error) from None
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="azft-")))
        base, tuned = _models(clients, Storage(clients), run, folder)
        return answered(base, tuned, questions, stack.enter_context(_questions()))


def _missing(error: ImportError) -> UnsupportedError:
    return UnsupportedError(
        f"comparing models needs {error.name} on this machine", hint="pip install 'azft[local]', or where='cluster'"
    )


def _models(clients: Clients, storage: Storage, run: Run, folder: Path) -> tuple[Path, Path]:
    from azft.engine.weights import model_below

    places = {"tuned": place_of(clients, run.id, TUNED), "base": base_place(clients, run)}
    for name, place in places.items():
        check_memory(f"the {name} model of {run.id}", storage.size(place))
    tuned, base = (model_below(storage.download(place, folder / name)) for name, place in places.items())
    return base, tuned


def check_memory(what: str, size: int) -> None:
    """Raise `UnsupportedError` for weights of so many bytes that this machine cannot hold; they are held one by one.

    This is the least that they take: a processor without half precision holds each number in 32 bits.
    """
    import psutil

    from azft.engine.machine import gpu_memory_gib, gpus

    held = gpu_memory_gib() if gpus() else psutil.virtual_memory().available / 2**30
    if held and size / 2**30 > held:
        raise UnsupportedError(
            f"{what} has {size / 2**30:,.1f} GiB, and this machine has {held:,.1f} GiB of memory for it",
            hint="where='cluster' compares on a machine of the kind that the run had",
        )


def base_place(clients: Clients, run: Run) -> str:
    """Return where in the default store a pipeline has left the base model that it has imported."""
    return place_of(clients, _import_step(clients, run), IMPORTED)


def report_of(clients: Clients, job: str) -> EvaluationReport:
    """Return the report that a job has written itself: a few kilobytes."""
    return from_json(EvaluationReport, _written(clients, job, JUDGED))


def answers_of(clients: Clients, job: str) -> tuple[Answer, ...]:
    """Return the answers that a job has written."""
    return from_json(tuple[Answer, ...], _written(clients, job, ANSWERS))


def _written(clients: Clients, job: str, name: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="azft-") as folder:
        path = Storage(clients).download(place_of(clients, job, REPORT), Path(folder)) / name
        if not path.is_file():
            raise NotFoundError(f"{name} of {job} was deleted", hint="submit the plan again")
        return path.read_bytes()


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


def place_of(clients: Clients, run_id: str, output: str) -> str:
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
