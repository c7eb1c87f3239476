"""The tutorial's names, to the letter."""

from __future__ import annotations

from typing import Any

from azft.domain.specs import NamingContext

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

    The notebook hard-codes "ultrachat"; here it is the dataset's label.
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
    deepspeed = f"ds{value['deepspeed_stage']}" if _on(value["apply_deepspeed"]) else "nods"
    lora = "lora" if _on(value["apply_lora"]) else "nolora"
    return (
        f"{context.model.name}-{_label(context)}-bs{batch}-{value['lr_scheduler_type']}-{deepspeed}-{lora}"
        f"-save_limit{value['save_total_limit']}-seqlen{value['max_seq_length']}"
    )


def tutorial_model_name(context: NamingContext) -> str:
    """Return the registered name of the notebook: model and dataset, with no slash or underscore in the latter."""
    return f"{context.model.name}-{context.dataset.name.replace('_', '-')}".replace("/", "-")


def _label(context: NamingContext) -> str:
    return context.dataset.label or context.dataset.name.replace("_", "-")


def _on(value: object) -> bool:
    return value is True or value == "true"
