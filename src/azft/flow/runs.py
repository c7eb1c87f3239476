"""Find the runs that a folder knows, with where each stands."""

from __future__ import annotations

from azft.domain.run import Runs
from azft.ledger import Ledger
from azft.ports import RunService


def find_runs(backend: RunService, ledger: Ledger, *, name: str) -> Runs:
    """Return the runs of the ledger at that backend, newest first; those that are gone are left out."""
    resources = [entry.resource for entry in reversed(ledger.standing())]
    ids = [resource.name for resource in resources if resource.kind == "run" and resource.backend == name]
    states = [backend.state(run_id) for run_id in dict.fromkeys(ids)]
    return Runs(state for state in states if state is not None and not state.deleted)
