"""What a plan costs: round trips in a row, and the processor time of this process, against the emulator.

Run it as `python -m azft.testing.emulator -- python benchmarks/plan.py`; the emulator is another process then.
"""

from __future__ import annotations

import sys
import tempfile
import time

from azft import DatasetSpec, FineTuneSession
from azft.backends.azureml.backend import AzureMLBackend

SIZE = "Standard_NC24ads_A100_v4"
SAMPLE = DatasetSpec("sample", "sample://ultrachat", train_split="train_sft", test_split="test_sft")
TIMES = 7


def once(folder: str) -> tuple[float, float]:
    """Return seconds of one plan, and how many of them this process worked."""
    session = FineTuneSession("Phi-4", SAMPLE, backend=AzureMLBackend(), compute=SIZE, folder=folder, progress=False)
    begun, worked = time.perf_counter(), time.process_time()
    session.plan()
    return time.perf_counter() - begun, time.process_time() - worked


def main() -> None:
    """Plan a few times with new clients each, the first time to import everything."""
    with tempfile.TemporaryDirectory() as folder:
        once(folder)
        times = [once(folder) for _ in range(TIMES)]
    wall, work = (sorted(column)[TIMES // 2] for column in zip(*times, strict=True))
    sys.stdout.write(f"a plan takes {wall * 1000:.0f} ms, of which this process works {work * 1000:.0f} ms (medians)\n")


if __name__ == "__main__":
    main()
