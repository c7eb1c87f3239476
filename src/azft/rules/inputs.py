"""Read one value for one component input, and encode it as the component wants it.

Azure declares its switches as the texts "true" and "false"; those texts live in `encode` and nowhere else.
"""

from __future__ import annotations

import math
import re

from attrs import frozen

from azft.domain.component import ComponentInput
from azft.domain.parameters import ParameterValue

ILLEGAL_CHARACTERS = "\\'"
"""The component puts text values inside single quotes on a shell line (azureml-assets, spec.yaml descriptions)."""

_TRUE_FALSE = {"true": True, "false": False}
_BEYOND_ENUM: dict[str, tuple[float, bool]] = {
    # From the component's own runtime checks, which its schema does not state: (bound, is the bound itself legal).
    "learning_rate": (0.0, False),
    "adam_epsilon": (0.0, False),
    "lora_r": (1, True),
    "lora_alpha": (1, True),
    "gradient_accumulation_steps": (1, True),
    "warmup_steps": (0, True),
    "weight_decay": (0.0, True),
    "lora_dropout": (0.0, True),
    "adam_beta1": (0.0, True),
    "adam_beta2": (0.0, True),
    "max_grad_norm": (0.0, True),
    "dataloader_num_workers": (0, True),
    "evaluation_steps_interval": (0.0, True),
    "eval_steps": (1, True),
    "logging_steps": (1, True),
    "early_stopping_patience": (1, True),
    "early_stopping_threshold": (0.0, True),
    "seed": (0, True),
}
_BELOW_ONE = ("lora_dropout", "adam_beta1", "adam_beta2")
"""Shares of which a whole one would leave nothing: no weight, or no gradient."""
_AT_MOST = {"evaluation_steps_interval": 1.0, "seed": 2**32 - 1}
"""NumPy, which transformers seeds beside torch, takes no larger seed."""
_MEMORY = re.compile(r"[1-9]\d*[bkmgBKMG]?")
"""Docker's words for a size (docker run --shm-size)."""
_MINUS_ONE_MEANS_NONE = ("max_steps", "max_seq_length", "save_total_limit", "eval_accumulation_steps")


@frozen
class Refused:
    """Why a value does not fit an input."""

    found: str
    expected: str
    code: str = "AZFT-P002"


def read_value(spec: ComponentInput, raw: object) -> ParameterValue | Refused:
    """Return the typed value, or why it is refused; texts that registries write ("5e-6", "true") are understood.

    >>> read_value(ComponentInput("learning_rate", "number"), "5e-6")
    5e-06
    >>> read_value(ComponentInput("apply_lora", "string", enum=("true", "false")), "True")
    True
    >>> read_value(ComponentInput("precision", "string", enum=("32", "16")), 4).expected
    "one of '32', '16'"
    """
    if raw is None:
        return None if spec.optional else Refused("None", "a value, the input is required", "AZFT-P006")
    if spec.is_flag:
        return _read_flag(raw)
    if spec.type in {"integer", "number"}:
        return _read_number(spec, raw)
    return _read_text(spec, raw)


def encode(spec: ComponentInput, value: ParameterValue) -> str | int | float | None:
    """Return the value as the component takes it: switches and choices as text, numbers as numbers.

    >>> encode(ComponentInput("apply_lora", "string", enum=("true", "false")), True)
    'true'
    """
    if value is None:
        return None
    if spec.is_flag:
        return "true" if value else "false"
    return str(value) if spec.type not in {"integer", "number"} else value


def _read_flag(raw: object) -> ParameterValue | Refused:
    if isinstance(raw, bool):
        return raw
    if isinstance(raw, str) and raw.strip().lower() in _TRUE_FALSE:
        return _TRUE_FALSE[raw.strip().lower()]
    return Refused(repr(raw), "True or False")


def _read_number(spec: ComponentInput, raw: object) -> ParameterValue | Refused:
    wanted = "a whole number" if spec.type == "integer" else "a number"
    number = _number(raw)
    if number is None or not math.isfinite(number) or (spec.type == "integer" and number != int(number)):
        return Refused(repr(raw), wanted)
    expected = _range(spec, number)
    if expected:
        return Refused(repr(raw), f"{wanted} {expected}", "AZFT-P004")
    return int(number) if spec.type == "integer" else float(number)


def _number(raw: object) -> float | int | None:
    if isinstance(raw, bool):
        return None
    if isinstance(raw, int | float):
        return raw
    if not isinstance(raw, str):
        return None
    try:
        return int(raw)
    except ValueError:
        pass
    try:
        return float(raw)
    except ValueError:
        return None


def _range(spec: ComponentInput, number: float) -> str:
    """Return what the number should have been, or nothing if it is in range."""
    low, low_legal = _BEYOND_ENUM.get(spec.name, (None, True))
    if spec.minimum is not None:
        low, low_legal = spec.minimum, True
    if low is not None and (number < low or (number == low and not low_legal)):
        return f"{'at least' if low_legal else 'above'} {low:g}"
    if spec.name in _MINUS_ONE_MEANS_NONE and number != -1 and number < 1:
        return "at least 1, or -1 for no limit"
    if spec.name in _BELOW_ONE and number >= 1:
        return "below 1"
    high = _AT_MOST.get(spec.name, spec.maximum)
    if high is not None and number > high:
        return f"at most {int(high) if high == int(high) else high}"
    return ""


def _read_text(spec: ComponentInput, raw: object) -> ParameterValue | Refused:
    if not isinstance(raw, str | int | float) or isinstance(raw, bool):
        return Refused(repr(raw), "text")
    text = str(raw)
    if spec.enum and text not in spec.enum:
        return Refused(repr(raw), "one of " + ", ".join(map(repr, spec.enum)), "AZFT-P003")
    if spec.name.startswith("shm_size") and not _MEMORY.fullmatch(text) and not set(text) & set(ILLEGAL_CHARACTERS):
        return Refused(repr(raw), "a number with b, k, m or g behind it, such as '5g'")
    illegal = [character for character in ILLEGAL_CHARACTERS if character in text]
    if illegal:
        return Refused(repr(raw), f"text without {' or '.join(illegal)}, which the service refuses", "AZFT-P005")
    return text
