"""azft's own findings about a plan."""

from __future__ import annotations

from azft.domain.findings import Finding
from azft.domain.plan import Plan
from azft.plugins import hookimpl
from azft.rules.compute import compute_findings
from azft.rules.devices import gpus_asked, gpus_used
from azft.rules.lifecycle import NO_MODEL, model_findings
from azft.rules.memory import fit_findings, host_findings, row_length, training_of
from azft.rules.naming import name_findings
from azft.rules.quotas import quota_findings
from azft.rules.together import together
from azft.snapshot import registry_models, snapshot_card, virtual_machines

ALTERNATIVES = 3


@hookimpl
def azft_check(plan: Plan) -> list[Finding]:
    """Find what the model, the compute, the quota, the memory, the parameters and the names would stumble over."""
    nodes, gpus = plan.nodes, gpus_asked(plan.parameters)
    compute = plan.compute
    # What follows from a model that is not there is no news of its own.
    missing = any(finding.code == NO_MODEL for finding in plan.findings)
    own = plan.trainer.own
    task = plan.trainer.tunes.task
    found = [*model_findings(plan.model, plan.day, task=task, others=_alternatives(plan, task), own=own)]
    if compute.state != "unknown":
        model = None if missing else plan.model
        sizes = [size.name for size in virtual_machines()]
        found += compute_findings(
            compute.name, compute, model, nodes=nodes, gpus=gpus, day=plan.day, sizes=sizes, own=own
        )
        found += quota_findings(compute, plan.usage, nodes=nodes)
    shape = plan.model.architecture
    chats = plan.trainer.tunes.chats
    if plan.model.tuned_by_registry and shape is not None and compute.gpu_memory_gib and not own and chats:
        look = plan.look
        length = row_length(shape, plan.parameters, look.tokens if look else 0.0, look.longest if look else 0)
        devices = gpus_used(plan.parameters, compute) * nodes
        how = training_of(plan.parameters, kind=shape.kind, devices=devices, sequence=length)
        found += fit_findings(shape, how, compute.gpu_memory_gib, compute.name)
        found += host_findings(shape, how, nodes=nodes, memory_gib=compute.memory_gib, subject=compute.name)
    context = shape.context if shape else 0
    found += together(plan.parameters, context=context, forecast=plan.forecast, chats=chats)
    return [*found, *name_findings(plan.display_name, plan.model_name)]


def _alternatives(plan: Plan, task: str) -> list[str]:
    """Return models that can be tuned for the task today, as far as the snapshot knows."""
    names = (entry.name for entry in registry_models() if entry.name != plan.model.name)
    cards = ((name, snapshot_card(name)) for name in names)
    return [name for name, card in cards if task in (card.tasks.value or ()) and card.lifecycle(plan.day) == "current"][
        :ALTERNATIVES
    ]
