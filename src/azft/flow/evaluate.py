"""Step 6: the base model against the tuned one."""

from __future__ import annotations

from azft.domain.evaluation import EvaluationReport
from azft.domain.run import Run
from azft.ports import RunService


class RunEvaluator:
    """Says what tuning changed, on conversations that were not trained on."""

    def __init__(self, backend: RunService) -> None:
        self._backend = backend

    def evaluate(self, run: Run) -> EvaluationReport:
        """Return the report of a completed run; `RunError` if it has none."""
        return self._backend.evaluation(run)
