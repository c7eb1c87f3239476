"""Whether a compute can run a job for a model."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import date

from azft.domain.card import MinimumSize
from azft.domain.compute import Compute
from azft.domain.findings import Finding
from azft.domain.model import Model
from azft.rules.card import same_size
from azft.rules.quotas import LOW_PRIORITY
from azft.rules.suggest import near

UNSUPPORTED = ("standard_nc6", "standard_nc12", "standard_nc24", "standard_nc24r")
"""K80 sizes: the fine-tuning steps refuse them whatever the model says."""
READY = "Succeeded"
_UNNAMED = ("", "compute")
"""What a plan calls a compute that was not named."""
_STEPS_WITHOUT_GPU = "the fine-tuning step stops at once without a GPU"


def compute_findings(
    name: str,
    compute: Compute | None,
    model: Model | None,
    *,
    nodes: int = 1,
    gpus: int | None = None,
    day: date = date.min,
    sizes: Collection[str] = (),
    own: bool = False,
) -> tuple[Finding, ...]:
    """Return every reason why the compute called `name` cannot tune the model on so many nodes.

    `gpus` is how many are to be used on each node, None for all; `sizes` are the machine sizes by name.
    Without a model only the compute itself is looked at, and the registry's list of machines holds for its pipeline
    alone: for azft's engine and scripts (`own`) it does not.

    >>> [f.code for f in compute_findings("c", Compute("c", "Standard_NC6", state="Failed"), Model("m", weights="w"))]
    ['AZFT-C002', 'AZFT-C003']
    """
    if compute is None or not compute.size:
        return (_missing(name, sizes),)
    itself = tuple(_of_itself(compute, day))
    if model is None or not model.tuned_by_registry:
        return itself
    unknown = tuple(_unknown(compute)) if own else tuple(_for_model(compute, model))
    return (*itself, *unknown, *_for_job(compute, nodes, gpus, own=own))


def _missing(name: str, sizes: Collection[str]) -> Finding:
    if name in _UNNAMED:
        fix = "compute=NAME of a cluster, or of a machine size, such as compute='Standard_NC24ads_A100_v4'"
        return Finding("AZFT-C001", "error", "compute", "none was given", "a cluster or a machine size", fix)
    if name.lower().startswith("standard_"):
        found = "the region offers no machine size of that name"
        meant = near(name, sizes)
        fix = f"did you mean {meant!r}?" if meant else "session.suggest() lists those that it offers"
        return Finding("AZFT-C001", "error", name, found, "a machine size", fix)
    found = "there is no compute of that name"
    fix = f"session.create_compute({name!r}, SIZE) makes it; or give another name, or a machine size"
    return Finding("AZFT-C001", "error", name, found, fix=fix)


def _of_itself(compute: Compute, day: date) -> Iterator[Finding]:
    def finding(code: str, found: str, expected: str, fix: str) -> Finding:
        return Finding(code, "error", compute.name, found, expected, fix)

    said = f": {'; '.join(compute.problems)}" if compute.problems else ""
    if compute.kind:
        yield finding(
            "AZFT-C011", f"it is a {compute.kind}", "a cluster (AmlCompute)", "give a cluster, or a size's name"
        )
    if compute.state != READY:
        yield finding("AZFT-C002", f"its state is {compute.state}{said}", READY, "repair or recreate it")
    elif compute.problems:
        yield Finding(
            "AZFT-C002", "warning", compute.name, f"it tells errors{said}", "no errors", "see the cluster in the studio"
        )
    if compute.min_nodes:
        found = f"{compute.min_nodes} of its machines are kept on, and billed, though nothing runs"
        fix = "set its minimum to 0, if nobody needs them"
        yield Finding("AZFT-C015", "warning", compute.name, found, "a minimum of 0", fix)
    if compute.size.lower() in UNSUPPORTED:
        yield finding("AZFT-C003", f"{compute.size} is an unsupported K80 size", "a current GPU size", "pick another")
    elif compute.retired and date.fromisoformat(compute.retired) <= day:
        found = f"{compute.size} was retired on {compute.retired}"
        yield finding("AZFT-C003", found, "a current GPU size", "pick another size")


def _unknown(compute: Compute) -> Iterator[Finding]:
    if compute.gpus == 0 and compute.cores == 0:
        found = f"what {compute.size} has is unknown: neither the region's list nor azft's table has it"
        fix = "make sure that it has GPUs, and try one step first"
        yield Finding("AZFT-C013", "warning", compute.name, found, "a known size", fix)


def _for_model(compute: Compute, model: Model) -> Iterator[Finding]:
    yield from _unknown(compute)
    if compute.gpus == 0 and compute.cores > 0:
        found = f"{compute.size} has no GPU; {_STEPS_WITHOUT_GPU}"
        yield Finding("AZFT-C006", "error", compute.name, found, "a GPU size", _pick(model))
    allowed = model.card.finetune_sizes
    if allowed.value is None:
        found = f"the sizes {model.name} may be tuned on are {allowed}"
        fix = "look the model up on ai.azure.com, and try one step first"
        yield Finding("AZFT-C005", "warning", model.name, found, "a list of sizes", fix)
    elif not any(same_size(compute.size, size) for size in allowed.value):
        expected = "one of " + ", ".join(allowed.value)
        if allowed.recommends:
            found = f"{compute.size} is not among the sizes that are recommended for {model.name}"
            yield Finding("AZFT-C014", "warning", compute.name, found, expected, _pick(model))
        else:
            found = f"{compute.size} is not on the allow-list of {model.name}"
            yield Finding("AZFT-C004", "error", compute.name, found, expected, _pick(model))
    least = model.card.minimum.value
    if (
        least is not None
        and compute.gpus
        and _is_less(compute, (least.cores, least.gpus, least.memory_gib, least.disk_gib))
    ):
        has = MinimumSize(compute.cores, compute.gpus, round(compute.memory_gib), round(compute.disk_gib))
        yield Finding(
            "AZFT-C009", "error", compute.name, f"{compute.size} has only {has}", f"at least {least}", _pick(model)
        )


def _is_less(compute: Compute, least: tuple[int, int, int, int]) -> bool:
    """Whether a known figure of the compute is below the model's least; 0 means that it is not known."""
    has = (compute.cores, compute.gpus, compute.memory_gib, compute.disk_gib)
    return any(0 < one < other for one, other in zip(has, least, strict=True))


def _for_job(compute: Compute, nodes: int, gpus: int | None, *, own: bool) -> Iterator[Finding]:
    if nodes > compute.max_nodes:
        found = f"the job wants {nodes} nodes, and {compute.name} grows to {compute.max_nodes}"
        fix = f"num_nodes_finetune={compute.max_nodes}, or let the cluster grow"
        yield Finding("AZFT-C008", "error", compute.name, found, f"at most {compute.max_nodes}", fix)
    if gpus is not None and compute.gpus and gpus > compute.gpus:
        found = f"the job wants {gpus} GPUs on each node, and {compute.size} has {compute.gpus}"
        fix = f"number_of_gpu_to_use_finetuning={compute.gpus}"
        yield Finding("AZFT-C007", "error", compute.name, found, f"at most {compute.gpus}", fix)
    elif gpus is not None and gpus < compute.gpus:
        found = f"{compute.gpus - gpus} of the {compute.gpus} GPUs of each node stay idle, and are paid for"
        fix = f"number_of_gpu_to_use_finetuning={compute.gpus}"
        yield Finding("AZFT-C012", "warning", compute.name, found, f"{compute.gpus}", fix)
    if compute.tier == LOW_PRIORITY:
        then = "goes on from its last checkpoint on others" if own else "starts again"
        found = f"low-priority nodes can be taken away at any time, and the run then {then}"
        yield Finding("AZFT-C010", "warning", compute.name, found, "Dedicated", "use a dedicated cluster")


def _pick(model: Model) -> str:
    sizes = model.card.finetune_sizes.value
    return f"pick one of these sizes, such as {sizes[0]}" if sizes else "pick a GPU size"
