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
