"""azft's own findings about a plan."""

from __future__ import annotations

from azft.domain.plan import Finding, Plan
from azft.plugins import hookimpl
from azft.rules.compute import compute_findings
from azft.rules.parameters import cross_field_problems


@hookimpl
def azft_check(plan: Plan) -> list[Finding]:
    """Find what the compute cannot run, and parameters that the component refuses together."""
    together = (
        Finding("AZFT-P003", "error", problem.name, problem.found, problem.expected, problem.fix)
        for problem in cross_field_problems(plan.parameters)
    )
    return [*compute_findings(plan.compute.name, plan.compute, plan.model), *together]
