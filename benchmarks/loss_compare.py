"""Today's losses against those of the last release: small networks of four families, trained in every way.

`python -m benchmarks.loss_compare` prints the largest relative difference of each way, and ends with 1 where one is
more than rounding explains; `--write` takes today's losses for those of the release. CI does the same as a test.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from unittest import mock

import azft
from azft.backends.local.runs import LocalRuns
from tests.ways import ALIKE, RELEASED, WAYS, losses_of, read_losses


def main() -> int:
    """Train, print and compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true")
    with mock.patch.object(LocalRuns, "_start"), tempfile.TemporaryDirectory() as place:
        today = {str(way): losses for way, losses in zip(WAYS, losses_of(Path(place), "one"), strict=True)}
    if parser.parse_args().write:
        lines = ",\n".join(f"    {json.dumps(way)}: {json.dumps(losses)}" for way, losses in today.items())
        head = f'  "azft": {json.dumps(azft.__version__)},\n  "losses": {{\n'
        RELEASED.write_text("{\n" + head + lines + "\n  }\n}\n", encoding="ascii")
        return 0
    released, worst = read_losses(RELEASED), 0.0
    for way, losses in today.items():
        apart = max(abs(one - other) / other for one, other in zip(losses, released[way], strict=True))
        worst = max(worst, apart)
        print(f"{way:<45} {losses[-1]:.6f}  {apart:.1e}")
    print(f"largest difference {worst:.1e}, allowed {ALIKE:.0e}")
    return int(worst > ALIKE)


if __name__ == "__main__":
    sys.exit(main())
