"""Small networks of real families, and runs whose stages are done in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from azft import DataSettings, FineTuneSession, ModelSpec
from azft.backends.local.backend import LocalBackend
from azft.backends.local.live import LiveTracking
from azft.stages.context import StageContext
from azft.stages.importing import import_model
from azft.stages.preprocess import preprocess
from azft.training.events import EventLog, read_events

SMALL = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 46}
FAMILIES = ("phi3", "llama", "qwen2", "gemma2")


def network(family: str, **more: Any) -> Any:
    """Return a small random network of a family, always the same."""
    settings = {**SMALL, "num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, **more}
    if family == "gemma2":
        settings["head_dim"] = 16
    torch.manual_seed(7)
    return AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **settings)).eval()


def replaced(folder: Path, family: str, **more: Any) -> Path:
    """Put a small network of a family in the place of a folder's own."""
    for path in folder.glob("*.safetensors"):
        path.unlink()
    network(family, max_position_embeddings=64, **more).save_pretrained(folder)
    return folder


def sums(folder: Path, count: int = 30) -> Path:
    """Write a file of questions and answers."""
    path = folder / "sums.jsonl"
    path.write_bytes(
        b"".join(
            orjson.dumps(
                {"messages": [{"role": "user", "content": f"{n % 30}{' plus one' * (1 + n % 5)}"},
                              {"role": "assistant", "content": str(n % 30 + 1)}]}
            ) + b"\n"
            for n in range(count)
        )
    )  # fmt: skip
    return path


def staged_run(
    place: Path, weights: Path, count: int = 30, settings: DataSettings | None = None, **parameters: Any
) -> StageContext:
    """Return a run folder with its first two stages done in this process; where no worker may start, none does."""
    session = FineTuneSession(
        ModelSpec("mine", weights=str(weights)),
        str(sums(place, count)),
        parameters={"evaluation_strategy": "disable", "threads": 1, "logging_steps": 1, **parameters},
        folder=place / "home",
        data=settings,
        progress=False,
    )
    run = session.submit(again=True)
    backend = session.backend
    assert isinstance(backend, LocalBackend)
    folder = backend.home.run(run.id)
    job = session.build()
    events = EventLog(folder / "events.jsonl")
    context = StageContext(folder, backend.home.weights, job, events, LiveTracking(run.id, backend.home, job, events))
    for name, stage in (("import", import_model), ("preprocess", preprocess)):
        (folder / name).mkdir()
        stage(context, folder / name)
    return context


def losses(context: StageContext) -> list[float]:
    """Return the losses of the steps so far."""
    told = read_events(context.events.path)
    return [event.values["loss"] for event in told if event.kind == "progress" and "loss" in event.values]
