"""LoRA adapters on a model, and how much of it they reach."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch

from azft.domain.parameters import Parameters

PHI3_TARGETS = ("qkv_proj", "o_proj", "gate_up_proj", "down_proj")
"""Phi-3 fuses its projections, and peft has no default targets for it."""


def with_adapter(base: Any, parameters: Parameters) -> Any:
    """Return the model with LoRA adapters on its linear layers, or the model itself for full fine-tuning."""
    if not parameters.flag("apply_lora"):
        return base
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=parameters.integer("lora_r"),
        lora_alpha=parameters.integer("lora_alpha"),
        lora_dropout=parameters.number("lora_dropout"),
        target_modules=list(PHI3_TARGETS) if base.config.model_type == "phi3" else "all-linear",
        task_type="CAUSAL_LM",
    )
    torch.manual_seed(parameters.integer("seed"))
    return get_peft_model(base, config)


def adapted(base: Any, folder: Path) -> Any:
    """Return the model with the adapter that a folder holds."""
    from peft import PeftModel

    return PeftModel.from_pretrained(base, str(folder))


def adapted_share(model: Any) -> float:
    """Return the share of the base model's weights that lie in layers with an adapter; embeddings do not count."""
    tables = {id(part.weight) for part in model.modules() if isinstance(part, torch.nn.Embedding)}
    head = model.get_output_embeddings()
    if head is not None:
        tables.add(id(head.weight))
    layers = [_adapted(part) for part in model.modules() if hasattr(part, "lora_A")]
    base = [weight for name, weight in model.named_parameters() if "lora_" not in name]
    return _size(layers, tables) / max(_size(base, tables), 1)


def _adapted(part: Any) -> Any:
    """Return the weight that an adapter belongs to: of a layer, or, for fused experts that peft knows, a parameter."""
    return part.get_param() if hasattr(part, "parameter_name") else part.base_layer.weight


def _size(weights: Sequence[torch.Tensor], without: Collection[int]) -> int:
    once = {id(weight): weight for weight in weights}
    return sum(int(weight.numel()) for key, weight in once.items() if key not in without)
