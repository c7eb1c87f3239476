"""What the service tells of machines: sizes, quota rows and errors, read whole, and completed from the dated table."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from attrs import evolve

from azft.domain.compute import ComputeSize
from azft.snapshot import machine


def withdrawn(name: str) -> ComputeSize:
    """Return a size that the region does not offer, as far as azft's dated table knows it."""
    known = machine(name)
    if known is None:
        return ComputeSize(name, 0, 0, 0.0)
    size = ComputeSize(known.name, known.gpus, known.cores, known.memory_gib, known.family)
    return _with_gpu(size, known.disk_gib)


def problems_of(properties: Any) -> Iterator[str]:
    """Yield the errors that a compute tells of itself, some of which stand in two places."""
    inner = getattr(properties, "properties", None)
    for entry in (*(properties.provisioning_errors or ()), *(getattr(inner, "errors", None) or ())):
        error = getattr(entry, "error", None) or entry
        code, message = getattr(error, "code", None), getattr(error, "message", None)
        yield ": ".join(str(part) for part in (code, message) if part) or "an error without a text"


def quota_row(entry: Any) -> dict[str, Any]:
    """Return a row of the quotas as the wire has it."""
    name = entry.name
    value = name if isinstance(name, dict) else {"value": name.value, "localizedValue": name.localized_value}
    used = getattr(entry, "current_value", None)
    return {
        "id": getattr(entry, "id", None),
        "type": getattr(entry, "type", None),
        "name": value,
        "limit": entry.limit,
        "currentValue": getattr(entry, "currentValue", None) if used is None else used,
    }


def _field(entry: Any, name: str, wire: str) -> Any:
    """Return a number by its name, or by the service's spelling: azure-ai-ml 1.35 leaves some only there."""
    value = getattr(entry, name, None)
    return (getattr(entry, wire, None) if value is None else value) or 0


def size_of(entry: Any) -> ComputeSize:
    """Return a machine size, with what the service does not tell of it."""
    cores, memory = _field(entry, "v_cp_us", "vCPUs"), _field(entry, "memory_gb", "memoryGB")
    size = ComputeSize(entry.name, int(entry.gpus or 0), int(cores), float(memory), entry.family or "")
    return _with_gpu(size, float(_field(entry, "max_resource_volume_mb", "maxResourceVolumeMB")) / 1024)


def _with_gpu(size: ComputeSize, disk_gib: float) -> ComputeSize:
    """Return the size with the kind of its GPUs and its retirement, which the service does not tell."""
    known = machine(size.name)
    if known is None:
        return evolve(size, disk_gib=disk_gib)
    return evolve(
        size,
        disk_gib=disk_gib,
        gpu=known.gpu,
        gpu_memory_gib=known.gpu_memory_gib,
        retired=known.retired,
        peak=known.peak,
    )
