"""Weights in a GGUF file: what it is called, how it is quantised, and a folder of plain weights made of it once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from azft.errors import ConfigurationError, NotFoundError
from azft.files import sha256_of, whole_folder

MAGIC = b"GGUF"
ENDING = ".gguf"


def is_gguf(path: Path | str) -> bool:
    """Return whether a name is that of a GGUF file."""
    return str(path).lower().endswith(ENDING)


def gguf_of(source: Path | str) -> tuple[Path | str, dict[str, str]]:
    """Return what `from_pretrained` is to load for a folder, a hub id, or a GGUF file.

    >>> gguf_of("owner/name"), gguf_of("models/small.Q4_1.gguf")
    (('owner/name', {}), (PosixPath('models'), {'gguf_file': 'small.Q4_1.gguf'}))
    """
    if not is_gguf(source):
        return source, {}
    path = Path(source).expanduser()
    return path.parent, {"gguf_file": path.name}


def check_gguf(path: Path) -> str:
    """Return how the weights are quantised, such as "Q4_1"; errors name a file that is none, or a missing package."""
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise NotFoundError(f"{path} is no GGUF file: it does not begin with GGUF", hint="copy it again")
    try:
        from gguf import GGUFReader
    except ImportError:
        raise ConfigurationError(
            f"reading {path.name} needs the package gguf", hint="pip install gguf (it is in azft[local])"
        ) from None
    try:
        kinds = [tensor.tensor_type.name for tensor in GGUFReader(path).tensors]
    except (ValueError, IndexError, KeyError, OverflowError) as error:
        said = f"{path} cannot be read as GGUF, or is cut short: {error}"
        raise NotFoundError(said, hint="copy it again") from error
    return max(set(kinds), key=kinds.count) if kinds else "no weights"


def dequantised(path: Path, below: Path) -> Path:
    """Return a folder below `below` with the file's weights in 32 bit and its tokenizer, made the first time only."""
    digest = sha256_of(path)[:16]
    final = below / f"{path.stem.replace('.', '-')}-{digest}"
    if final.exists():
        return final
    below.mkdir(parents=True, exist_ok=True)
    with whole_folder(final) as target:
        _convert(path, target)
    return final


def _convert(path: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loader: Any = AutoTokenizer
    tokenizer = loader.from_pretrained(path.parent, gguf_file=path.name)
    model: Any = AutoModelForCausalLM.from_pretrained(path.parent, gguf_file=path.name, dtype=torch.float32)
    # What was loaded still calls itself quantised and would not save, so the plain network is built anew.
    config = model.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    plain: Any = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    plain.load_state_dict(model.state_dict())
    plain.tie_weights()
    plain.generation_config = model.generation_config
    plain.save_pretrained(target)
    tokenizer.save_pretrained(target)
