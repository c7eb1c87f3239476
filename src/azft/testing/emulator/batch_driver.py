"""The program of a batch job: mini-batches of files through a scoring script, or through an MLflow model.

A script has `init()` and `run(mini_batch)`, which gets a list of paths and returns a list or a table, a row for each
thing that was scored (how-to-batch-scoring-script). A model without a script scores the rows of CSV files.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from azft.testing.emulator.user_script import load_script

ROWS, SUMMARY = "AppendRow", "SummaryOnly"
Run = Callable[[list[str]], Any]


def main(script: str, size: int, action: str, threshold: int, places: Sequence[Path]) -> None:
    """Score everything below the input; more failed mini-batches than `threshold` (-1: any number) fail the job."""
    data, model, output, file = places
    os.environ["AZUREML_MODEL_DIR"] = str(model)
    os.environ["AZUREML_BI_OUTPUT_PATH"] = str(output)
    run = load_script(Path(script)) if script else _model(model)
    failed = 0
    for batch in _batches(data, size):
        try:
            found = run(batch)
        except Exception:  # noqa: BLE001 - whatever a user's script raises fails its mini-batch
            failed += 1
            traceback.print_exc()
            continue
        if action == ROWS:
            with (output / file).open("a", encoding="utf-8") as rows:
                rows.writelines(f"{line}\n" for line in _lines(found))
        print(f"{len(batch)} of a mini-batch are done", flush=True)  # noqa: T201 - this is a job's log
    if failed > threshold >= 0:
        raise SystemExit(f"{failed} mini-batches failed, and {threshold} may")


def _batches(data: Path, size: int) -> Iterator[list[str]]:
    files = [data] if data.is_file() else sorted(path for path in data.rglob("*") if path.is_file())
    for begin in range(0, len(files), size):
        yield [str(path) for path in files[begin : begin + size]]


def _lines(found: Any) -> Iterator[str]:
    """Yield rows as they are appended: a table's cells with a space between, without a header."""
    if hasattr(found, "itertuples"):
        for row in found.itertuples(index=False):
            yield " ".join(map(str, row))
    else:
        yield from map(str, found)


def _model(place: Path) -> Run:
    import mlflow.pyfunc
    import pandas as pd

    folder = next(path.parent for path in sorted(place.rglob("MLmodel")))
    model = mlflow.pyfunc.load_model(str(folder))

    def run(batch: list[str]) -> list[str]:
        rows: list[str] = []
        for path in batch:
            found = model.predict(pd.read_csv(path))
            rows += [f"{number},{value},{Path(path).name}" for number, value in enumerate(found)]
        return rows

    return run


if __name__ == "__main__":
    _script_name, _size, _action, _threshold, _data, _place, _output, _file = sys.argv[1:]
    main(_script_name, int(_size), _action, int(_threshold), (Path(_data), Path(_place), Path(_output), Path(_file)))
