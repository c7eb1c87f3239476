"""Step 2: whether a compute can tune a model."""

from __future__ import annotations

from azft.domain.compute import Compute
from azft.domain.model import Model
from azft.domain.plan import Finding
from azft.errors import ComputeError
from azft.ports import ComputeSource
from azft.rules.compute import compute_findings


class ComputeValidator:
    """Checks a compute for a model and says everything that is wrong with it at once."""

    def __init__(self, backend: ComputeSource) -> None:
        self._backend = backend

    def findings(self, name: str, model: Model) -> tuple[Finding, ...]:
        """Return every reason why the compute cannot tune the model; none means that it can."""
        return compute_findings(name, self._backend.find_compute(name), model)

    def validate(self, name: str, model: Model) -> Compute:
        """Return the compute; `ComputeError` with all findings if it cannot tune the model."""
        compute = self._backend.find_compute(name)
        findings = compute_findings(name, compute, model)
        if compute is None or findings:
            raise ComputeError(f"compute {name!r} cannot tune {model.name}", findings)
        return compute
