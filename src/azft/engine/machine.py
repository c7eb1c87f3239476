"""What this machine has."""

from __future__ import annotations

import os
import subprocess
from functools import cache
from pathlib import Path

_NONE = ("", "-1", "NoDevFiles")


def cores() -> int:
    """Return the CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """Return the NVIDIA GPUs the driver knows, and CUDA_VISIBLE_DEVICES shows, without starting CUDA."""
    there = len(list(Path("/proc/driver/nvidia/gpus").glob("*")))
    shown = os.environ.get("CUDA_VISIBLE_DEVICES")
    return there if shown is None else min(there, len([name for name in shown.split(",") if name.strip() not in _NONE]))


def tokenise_on(threads: int) -> None:
    """Let the `tokenizers` library use every core, or one alone where one thread was asked for."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if threads == 1 else "true"
    if threads > 1:
        os.environ["RAYON_NUM_THREADS"] = str(threads)


@cache
def gpu_memory_gib() -> float:
    """Return the memory of the smallest GPU, 0 where the driver's tool, which is asked once, does not tell."""
    command = ["nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits"]
    try:
        told = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.split()
        return min(map(int, told)) / 1024
    except (OSError, subprocess.SubprocessError, ValueError):
        return 0.0


def has_half_precision() -> bool:
    """Return whether the processor has instructions for bf16, or does not tell (as on a Mac, which has them)."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return True
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not flags or any(name in flags for name in ("avx512_bf16", "amx_bf16", "bf16"))
