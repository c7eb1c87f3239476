"""Acme's model, support tickets and names for azft."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import azft

TICKETS = {
    "support": [
        (f"My {part} is {state}.", f"Please send the {part} back; a new one is on its way.")
        for part in ("anvil", "rocket", "magnet", "spring", "trampoline")
        for state in ("broken", "too small", "late", "on fire")
    ]
}


@azft.hookimpl
def azft_models() -> list[azft.ModelSpec]:
    """Offer Acme's own model."""
    return [azft.ModelSpec("Acme-Chat-7B", registry="acme")]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    """Offer the support tickets."""
    return [azft.DatasetSpec("acme_support", source="acme://support")]


@azft.hookimpl
def azft_readers() -> list[azft.Reader]:
    """Offer the reader of acme:// sources."""
    return [azft.Reader("acme", _read)]


@azft.hookimpl
def azft_naming_schemes() -> list[azft.NamingScheme]:
    """Offer Acme's names."""
    return [
        azft.NamingScheme(
            "acme",
            display_name=lambda c: f"acme-{c.model.name}-{c.parameters['num_train_epochs']}ep",
            model_name=lambda c: f"acme-{c.dataset.name}",
        )
    ]


def _read(rest: str, split: str) -> Iterator[dict[str, Any]]:
    if rest not in TICKETS:
        raise azft.DatasetError(f"acme://{rest} does not exist", hint=f"known: {', '.join(TICKETS)} (split {split})")
    for question, answer in TICKETS[rest]:
        yield {"messages": [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]}
