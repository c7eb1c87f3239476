"""After a run: one page about it, with its losses, base against tuned, and its data."""

from __future__ import annotations

from pathlib import Path

from azft.domain.evaluation import EvaluationReport
from azft.domain.run import Run, RunResult
from azft.files import write_whole
from azft.gate.prepared import PreparedDataset
from azft.views.description import Link, Table, View
from azft.views.html import as_page


def write_report(
    folder: Path, run: Run, result: RunResult, evaluation: EvaluationReport | None, data: PreparedDataset | None
) -> Path:
    """Write the page below `folder` and return its path; what is not known is not on it."""
    parts = list(result.view().parts)
    if evaluation is not None:
        parts += evaluation.view().parts
    if data is not None:
        report = data.report()
        parts += [*report.view().parts, Table("", ("",), ((Link("the data's own report", report.path.as_uri()),),))]
    path = folder / f"{run.id}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, as_page(View(run.display_name, f"{run.id} {result.status}", parts)).encode())
    return path
