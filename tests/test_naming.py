"""The tutorial's names, to the letter."""

from __future__ import annotations

import pytest

from azft import DatasetSpec, Model, NamingContext
from azft.domain.parameters import ParameterValue
from azft.rules.naming import tutorial_display_name, tutorial_model_name

ULTRACHAT = DatasetSpec("ultrachat_200k", "hf://HuggingFaceH4/ultrachat_200k", label="ultrachat")
TUTORIAL = {"lr_scheduler_type": "cosine", "apply_lora": True, "apply_deepspeed": True, "deepspeed_stage": "2"}
PHI3 = "Phi-3-mini-4k-instruct"


@pytest.mark.parametrize(
    ("parameters", "gpus", "expected"),
    [
        ({**TUTORIAL, "save_total_limit": 1}, 8, "ultrachat-bs8-cosine-ds2-lora-save_limit1-seqlen-1"),
        (TUTORIAL, 8, "ultrachat-bs8-cosine-ds2-lora-save_limit-1-seqlen-1"),
        ({}, 1, "ultrachat-bs1-linear-nods-nolora-save_limit-1-seqlen-1"),
        (
            {**TUTORIAL, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 4, "num_nodes_finetune": 2},
            4,
            "ultrachat-bs64-cosine-ds2-lora-save_limit-1-seqlen-1",
        ),
        ({**TUTORIAL, "deepspeed_stage": "3"}, 1, "ultrachat-bs1-cosine-ds3-lora-save_limit-1-seqlen-1"),
        ({**TUTORIAL, "apply_deepspeed": False}, 1, "ultrachat-bs1-cosine-nods-lora-save_limit-1-seqlen-1"),
        (
            {**TUTORIAL, "apply_lora": "true", "apply_deepspeed": "false"},
            1,
            "ultrachat-bs1-cosine-nods-lora-save_limit-1-seqlen-1",
        ),
        ({**TUTORIAL, "max_seq_length": 2048}, 1, "ultrachat-bs1-cosine-ds2-lora-save_limit-1-seqlen2048"),
        ({**TUTORIAL, "max_seq_length": None}, 1, "ultrachat-bs1-cosine-ds2-lora-save_limit-1-seqlen-1"),
    ],
)
def test_display_names_are_the_tutorials(parameters: dict[str, ParameterValue], gpus: int, expected: str) -> None:
    context = NamingContext(Model(PHI3), ULTRACHAT, parameters, gpus_per_node=gpus)
    assert tutorial_display_name(context) == f"{PHI3}-{expected}"


@pytest.mark.parametrize(
    ("model", "dataset", "expected"),
    [
        (PHI3, ULTRACHAT, "Phi-3-mini-4k-instruct-ultrachat-200k"),
        ("microsoft/Phi-4", ULTRACHAT, "microsoft-Phi-4-ultrachat-200k"),
        ("Phi-4", DatasetSpec("acme_support", "acme://support"), "Phi-4-acme-support"),
    ],
)
def test_registered_names_are_the_tutorials(model: str, dataset: DatasetSpec, expected: str) -> None:
    assert tutorial_model_name(NamingContext(Model(model), dataset, {})) == expected
