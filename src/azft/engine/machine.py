"""What this machine has."""

from __future__ import annotations

import os
from pathlib import Path


def cores() -> int:
    """Return the CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def gpus() -> int:
    """Return the NVIDIA GPUs the driver knows, without starting CUDA."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def has_half_precision() -> bool:
    """Return whether the processor has instructions for bf16, or does not tell (as on a Mac, which has them)."""
    path = Path("/proc/cpuinfo")
    if not path.is_file():
        return True
    lines = path.read_text(encoding="ascii", errors="replace").splitlines()
    flags = next((line.split() for line in lines if line.startswith(("flags", "Features"))), [])
    return not flags or any(name in flags for name in ("avx512_bf16", "amx_bf16", "bf16"))
