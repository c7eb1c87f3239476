"""Peaks of training steps, counted tensor by tensor, against azft's estimate.

Networks of the Phi-3 architecture take two optimizer steps each, with tensors that have a size and no content; every
living storage is counted, so the figures are those of the computation, on a CPU as on a GPU, without the allocator's
slack, and no processor is too slow for them.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from attrs import frozen
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from azft.domain.architecture import Architecture
from azft.rules.memory import ADAM, BAND, GIB, Regime, Training, memory_estimate
from azft.snapshot import architectures

RANK = 8
SHAPES = [
    (Architecture(128, 4, 4, 4, 384, 640, 4096, kind="phi3"), 4, 256),
    (Architecture(128, 8, 4, 4, 384, 640, 4096, kind="phi3"), 4, 256),
    (Architecture(256, 4, 4, 4, 384, 640, 4096, kind="phi3"), 4, 256),
    (Architecture(128, 4, 4, 4, 1024, 640, 4096, kind="phi3"), 4, 256),
    (Architecture(128, 4, 4, 4, 384, 8000, 4096, kind="phi3"), 4, 256),
    (Architecture(128, 4, 4, 2, 384, 640, 4096, kind="phi3"), 8, 512),
    (Architecture(256, 6, 8, 2, 768, 4000, 4096, kind="phi3"), 6, 384),
]
"""Shape, rows in a batch, tokens in a row."""


@frozen
class Case:
    """One training step."""

    shape: Architecture
    how: Training

    def __str__(self) -> str:
        shape, how = self.shape, self.how
        way = "LoRA" if how.lora_rank else "full"
        kept = "checkpointing" if how.checkpointing else "everything kept"
        size = f"{shape.kind} {shape.hidden}x{shape.layers}, {shape.intermediate}, {shape.vocabulary}"
        return f"{way} {how.regime}, {kept}, {size}, {how.batch}x{how.sequence}"


class LiveBytes(TorchDispatchMode):
    """Inside the block every storage counts from its making to its end; `peak` is the most at once, in bytes."""

    def __init__(self, tensors: Iterable[torch.Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: set[int] = set()
        for tensor in tensors:
            self._count(tensor)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and count what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor):
                self._count(leaf)
        return made

    def _count(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key not in self._known:
            self._known.add(key)
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._gone, key, storage.nbytes())

    def _gone(self, key: int, size: int) -> None:
        self._known.discard(key)
        self.now -= size


def cases(shapes: Iterable[tuple[Architecture, int, int]] = SHAPES) -> Iterator[Case]:
    """Yield every shape in every way of training."""
    regimes: tuple[Regime, ...] = ("32", "mixed", "half")
    for shape, batch, sequence in shapes:
        for regime in regimes:
            for rank in (0, RANK):
                for checkpointing in (False, True):
                    yield Case(shape, Training(rank, regime, 0, 1, batch, sequence, checkpointing))


def full_cases() -> Iterator[Case]:
    """Yield real models of six families at their full size, each in eight ways."""
    names = (
        "Phi-3-mini-4k-instruct",
        "Llama-2-7b",
        "Meta-Llama-3.1-8B",
        "Mistral-7B",
        "Qwen2.5-7B",
        "Qwen3-4B",
        "gemma-2-2b",
    )
    ways: tuple[tuple[int, Regime, bool], ...] = (
        (RANK, "half", True),
        (RANK, "half", False),
        (RANK, "mixed", True),
        (0, "32", True),
        (0, "mixed", True),
        (0, "mixed", False),
        (RANK, "32", False),
        (RANK, "mixed", False),
    )
    for name in names:
        for rank, regime, checkpointing in ways:
            yield Case(architectures()[name], Training(rank, regime, 0, 1, 1, 2048, checkpointing))


def measured(case: Case) -> int:
    """Return the peak in bytes of two training steps; nothing is computed, as sizes are all that counts."""
    with torch.device("meta"):
        model = _model(case)
    with FakeTensorMode():
        for module in model.modules():
            for name, weight in list(module.named_parameters(recurse=False)):
                setattr(module, name, torch.nn.Parameter(_like(weight), weight.requires_grad))
            for name, buffer in list(module.named_buffers(recurse=False)):
                setattr(module, name, _like(buffer))
        model.tie_weights()
        return _measured(model, case)


def _like(tensor: torch.Tensor) -> torch.Tensor:
    """Return a tensor of that size on a processor, without content in the mode that is on."""
    return torch.empty(tensor.shape, dtype=tensor.dtype, device="cpu")


def _measured(model: Any, case: Case) -> int:
    trained = [weight for weight in model.parameters() if weight.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-4)
    rows = torch.randint(1, case.shape.vocabulary, (case.how.batch, case.how.sequence))
    mask = torch.ones_like(rows)
    mask[:, -3:] = 0
    with LiveBytes(model.parameters()) as live:
        for _step in range(2):
            with torch.autocast("cpu", torch.bfloat16, enabled=case.how.regime == "mixed"):
                loss = model(input_ids=rows, attention_mask=mask, labels=rows).loss
            loss.backward()
            del loss
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
    return int(live.peak)


def estimated(case: Case) -> float:
    """Return the estimate in bytes; Adam keeps its state in the weights' precision here, not in 32 bit."""
    total = memory_estimate(case.shape, case.how).total * GIB
    if case.how.regime == "half":
        rank = case.how.lora_rank
        total -= (case.shape.adapter_parameters(rank) if rank else case.shape.parameters) * ADAM / 2
    return total


def network(shape: Architecture) -> Any:
    """Return a network of a shape, with random weights in 32 bit on the device of the context."""
    from transformers import AutoConfig, AutoModelForCausalLM

    more = {"head_dim": shape.head} if shape.head else {}
    if shape.kind == "phi3":
        more["original_max_position_embeddings"] = shape.context
    config = AutoConfig.for_model(
        shape.kind,
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        max_position_embeddings=shape.context,
        tie_word_embeddings=shape.tied,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        use_cache=False,
        **more,
    )
    return AutoModelForCausalLM.from_config(config)


def _model(case: Case) -> Any:
    model = network(case.shape)
    model = model.to(torch.bfloat16 if case.how.regime == "half" else torch.float32)
    if case.how.lora_rank:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(r=RANK, target_modules="all-linear", task_type="CAUSAL_LM"))
    if case.how.checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        if case.how.lora_rank:
            model.enable_input_require_grads()
    model.train()
    return model


def main() -> None:
    """Print every case, and the largest error."""
    worst = 0.0
    for case in (*cases(), *full_cases()):
        peak, guess = measured(case), estimated(case)
        error = guess / peak - 1
        worst = max(worst, abs(error))
        sys.stdout.write(f"{case!s:75} {peak / 2**20:7.1f} MiB  estimate {guess / 2**20:7.1f}  {error:+.0%}\n")
    sys.stdout.write(f"largest error {worst:.0%}, stated band {BAND:.0%}\n")


if __name__ == "__main__":
    main()
