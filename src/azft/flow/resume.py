"""Step 5, again: go on with a run that failed for a reason outside it."""

from __future__ import annotations

from azft.domain.run import Run, RunStatus
from azft.errors import RunError
from azft.ports import RunService


class RunResumer:
    """Goes on with a run from what it has kept."""

    def __init__(self, backend: RunService) -> None:
        self._backend = backend

    def resume(self, run: Run) -> Run:
        """Return the run once it works again; `RunError` for one that has completed, was canceled, or still works."""
        status = self._backend.result(run).status
        if status is RunStatus.COMPLETED:
            raise RunError(f"{run.id} has completed", run, status, hint="there is nothing to go on with")
        return self._backend.resume(run)
