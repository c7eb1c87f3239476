"""Whether a model can still be tuned, and for this task."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from azft.domain.findings import Finding, Severity
from azft.domain.model import Model

CHAT = "chat-completion"

NO_MODEL = "AZFT-M001"
"""The model is not there, so nothing that follows from it is news."""


def model_findings(
    model: Model, day: date, *, task: str = CHAT, others: Sequence[str] = (), own: bool = False
) -> tuple[Finding, ...]:
    """Return what the model's card says about tuning it that day; `others` are models that can be tuned instead.

    Where the user's own weights or a stand-in are tuned, or azft's engine or a script trains (`own`), the dates of the
    registry's pipeline stop nothing and are not mentioned.
    """
    if own or not model.tuned_by_registry:
        return ()
    found: list[Finding] = []
    card = model.card
    another = f"tune {' or '.join(others)} instead" if others else "tune another model"
    ours = "trainer='azft', which needs no pipeline for the model's weights; or "
    instead = f"{ours if task == CHAT else ''}{another}"
    state = card.lifecycle(day)
    if state == "retired":
        when = f" on {card.retired.value}" if card.retired.value else ""
        said = f"its fine-tuning was retired{when}" + ("; the registry has archived it" if card.archived else "")
        found.append(Finding("AZFT-M002", "error", model.name, said, f"a model that can be tuned on {day}", instead))
    elif state == "deprecated":
        until = f" and ends on {card.retired.value}" if card.retired.value else ""
        said = f"its fine-tuning is deprecated since {card.deprecated.value}{until}"
        found.append(Finding("AZFT-M003", "warning", model.name, said, "a model with a future", instead))
    tasks = card.tasks
    if task and tasks.value is not None and task not in tasks.value:
        said = f"it can be tuned for {', '.join(tasks.value)}"
        # Cards leave out what works: bert-base-uncased no longer names the task of Microsoft's own example with it.
        severity: Severity = "error" if task == CHAT else "warning"
        found.append(Finding("AZFT-M004", severity, model.name, said, task, instead))
    for name, fact in card.facts().items():
        if fact.state == "unparsable":
            said = f"{fact.source} cannot be read: {fact.raw[:60]!r}"
            fix = "treated as unknown; tell the registry's owner"
            found.append(Finding("AZFT-M005", "warning", f"{model.name} {name}", said, "readable metadata", fix))
    return tuple(found)
