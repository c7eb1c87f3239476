"""A folder of weights that no run has made, as an MLflow model."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from azft.errors import ConfigurationError, UnsupportedError


@contextmanager
def mlflow_model(folder: Path, name: str) -> Iterator[Path]:
    """Give the MLflow model of a folder: the folder itself where it is one, else one of its weights and tokenizer."""
    if (folder / "MLmodel").is_file():
        yield folder
        return
    try:
        from azft.stages.export import as_mlflow
    except ImportError as error:
        raise UnsupportedError(
            f"weights become an MLflow model with {error.name}, which is not installed",
            hint="pip install 'azft[local]', or give an MLflow model",
        ) from None
    with tempfile.TemporaryDirectory(prefix="azft-") as aside:
        target = Path(aside) / "model"
        try:
            as_mlflow(folder, target, name)
        except Exception as error:  # whatever MLflow and transformers raise, the folder is the reason
            raise ConfigurationError(
                f"{folder} holds no model that can be loaded: {error}", hint="give what save_pretrained() wrote"
            ) from error
        yield target
