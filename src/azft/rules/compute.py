"""Whether a compute can run a job for a model."""

from __future__ import annotations

from collections.abc import Iterator

from azft.domain.compute import Compute
from azft.domain.model import Model
from azft.domain.plan import Finding

RETIRED = ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r")
"""K80 sizes, which the notebook refuses and Azure has retired."""
ALLOWED = "finetune_computes"
"""The fact of a model that lists, separated by commas, the sizes it may be tuned on."""


def compute_findings(name: str, compute: Compute | None, model: Model) -> tuple[Finding, ...]:
    """Return every reason why the compute called `name` cannot tune the model; none means that it can.

    >>> [f.code for f in compute_findings("c", Compute("c", "Standard_NC6", state="Failed"), Model("m", weights="w"))]
    ['AZFT-C002', 'AZFT-C003']
    """
    if compute is None:
        return (
            Finding("AZFT-C001", "error", name, "there is no compute of that name", fix="create it or give another"),
        )
    return tuple(_refusals(compute, model))


def _refusals(compute: Compute, model: Model) -> Iterator[Finding]:
    def refusal(code: str, found: str, expected: str, fix: str) -> Finding:
        return Finding(code, "error", compute.name, found, expected, fix)

    if compute.state != "Succeeded":
        yield refusal("AZFT-C002", f"its state is {compute.state}", "Succeeded", "repair or recreate it")
    if compute.size.lower() in RETIRED:
        yield refusal("AZFT-C003", f"{compute.size} is a retired K80 size", "a current GPU size", "pick another size")
    allowed = [size.strip() for size in model.facts.get(ALLOWED, "").split(",") if size.strip()]
    if allowed and compute.size.lower() not in {size.lower() for size in allowed}:
        found = f"{compute.size} is not on the allow-list of {model.name}"
        yield refusal("AZFT-C004", found, "one of " + ", ".join(allowed), "pick one of these sizes")
