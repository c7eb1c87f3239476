"""The parameter presets that ship with azft."""

from azft.domain.specs import Recipe
from azft.plugins import hookimpl


@hookimpl
def azft_recipes() -> list[Recipe]:
    """Offer a first try of 20 steps, adapters, and full fine-tuning."""
    return [
        Recipe("quick", {"max_steps": 20, "logging_steps": 5, "apply_lora": True, "save_total_limit": 1}),
        Recipe("lora", {"apply_lora": True, "lora_r": 16, "lora_alpha": 32, "learning_rate": 2e-5, "precision": "16"}),
        Recipe(
            "full",
            {
                "apply_lora": False,
                "apply_deepspeed": True,
                "deepspeed_stage": "3",
                "learning_rate": 5e-6,
                "precision": "16",
            },
        ),
    ]
