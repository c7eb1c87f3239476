"""The tutorial's names, to the letter."""

from __future__ import annotations

import re
from typing import Any

from azft.domain.findings import Finding
from azft.domain.specs import NamingContext

LONGEST = 255
"""Characters of a name, in Azure's registries."""
LONGEST_ENDPOINT = 32
"""Characters of the name of an endpoint (Azure ML, how-to-manage-quotas)."""
_REGISTERED = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]{{0,{LONGEST - 1}}}")
_DEFAULTS = {
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "num_nodes_finetune": 1,
    "lr_scheduler_type": "linear",
    "apply_deepspeed": False,
    "deepspeed_stage": "2",
    "apply_lora": False,
    "save_total_limit": -1,
    "max_seq_length": -1,
}
"""What the notebook falls back to; the same as the component's defaults."""


def tutorial_display_name(context: NamingContext) -> str:
    """Return the display name of the chat-completion notebook (azureml-examples, cell 16).

    The notebook hard-codes "ultrachat"; here it is the dataset's label. Of another pipeline, whose switches are others,
    model, dataset and pipeline are named.
    """
    value: dict[str, Any] = {
        **_DEFAULTS,
        **{name: given for name, given in context.parameters.items() if given is not None},
    }
    batch = (
        int(value["per_device_train_batch_size"])
        * int(value["gradient_accumulation_steps"])
        * context.gpus_per_node
        * int(value["num_nodes_finetune"])
    )
    pipeline = context.trainer.tunes
    if not pipeline.chats:
        return f"{context.model.name}-{_label(context)}-{pipeline.component.removesuffix('_pipeline')}"
    deepspeed = f"ds{value['deepspeed_stage']}" if _on(value["apply_deepspeed"]) else "nods"
    lora = "lora" if _on(value["apply_lora"]) else "nolora"
    return (
        f"{context.model.name}-{_label(context)}-bs{batch}-{value['lr_scheduler_type']}-{deepspeed}-{lora}"
        f"-save_limit{value['save_total_limit']}-seqlen{value['max_seq_length']}"
    )


def tutorial_model_name(context: NamingContext) -> str:
    """Return the registered name of the notebook: model and dataset, with no slash or underscore in the latter."""
    return f"{context.model.name}-{context.dataset.name.replace('_', '-')}".replace("/", "-")


def endpoint_name(model_name: str, suffix: str) -> str:
    """Return a name for an endpoint, legal everywhere: 3 to 32 lower-case letters, digits and single dashes.

    >>> endpoint_name("Phi-3-mini-4k-instruct-ultrachat-200k", "1a2b3c4d"), endpoint_name("3x", "9")
    ('phi-3-mini-4k-instruct-1a2b3c4d', 'm-3x-9')
    """
    stem = re.sub(r"[^a-z0-9]+", "-", model_name.lower()).strip("-") or "model"
    stem = stem if stem[0].isalpha() else f"m-{stem}"
    return f"{stem[: LONGEST_ENDPOINT - len(suffix) - 1].rstrip('-')}-{suffix}"


def _label(context: NamingContext) -> str:
    return context.dataset.label or context.dataset.name.replace("_", "-")


def _on(value: object) -> bool:
    return value is True or value == "true"


def name_findings(display_name: str, model_name: str) -> tuple[Finding, ...]:
    """Return what is wrong with the names a scheme gave.

    >>> [f.code for f in name_findings("ok", "a/b")], name_findings("ok", "ok")
    (['AZFT-N002'], ())
    """
    found = []
    if not display_name.strip() or len(display_name) > LONGEST or not display_name.isprintable():
        expected = f"1 to {LONGEST} characters that can be shown"
        found.append(Finding("AZFT-N001", "error", "display name", repr(display_name), expected, "fix the scheme"))
    if not _REGISTERED.fullmatch(model_name):
        expected = f"letters, digits, '-', '_' and '.', at most {LONGEST}, beginning with a letter or digit"
        fix = "fix the scheme, or give another name to session.register"
        found.append(Finding("AZFT-N002", "error", "registered name", repr(model_name), expected, fix))
    return tuple(found)
