"""From a prepared file to token rows: the time and memory of the engine's stage, against `tokenizers` alone.

`python benchmarks/tokens.py [--rows 231000]`. Conversations have ultrachat's lengths (`ultrachat.py`, seeded). The
engine reads the file, renders, tokenises, labels and writes rows to the disk, in a process of its own; `tokenizers` is
given texts that are rendered already, a thousand at a time, with the offsets that labels need, and nothing else is
timed. Both on all cores. Memory is the highest resident size of the process, less what it was after the imports.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import orjson

sys.path.insert(0, str(Path(__file__).parents[1]))

GROUP = 1_000


def write(path: Path, rows: int) -> None:
    """Write so many conversations as a prepared file."""
    from benchmarks.ultrachat import Writer

    writer = Writer(0)
    with path.open("wb") as file:
        for begin in range(0, rows, GROUP):
            for talk in writer.table(min(GROUP, rows - begin), begin)["messages"].to_pylist():
                file.write(orjson.dumps({"messages": talk}) + b"\n")


def highest() -> int:
    """Return the highest resident size of this process so far, in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("VmHWM"))) * 1024


def engine(path: Path, tokenizer: str, target: Path) -> None:
    """Do the engine's stage on one file, and print seconds, tokens and bytes."""
    from azft.engine.loading import load_chat_tokenizer
    from azft.engine.machine import tokenise_on
    from azft.stages.preprocess import encode_split

    tokenise_on(0)
    reads = load_chat_tokenizer(Path(tokenizer))
    before, begun = highest(), time.perf_counter()
    report = encode_split(reads, path, 1 << 20, frozenset(), target)
    print(orjson.dumps([time.perf_counter() - begun, report.tokens, highest() - before]).decode())


def alone(path: Path, tokenizer: str) -> None:
    """Tokenise texts that are rendered, and print seconds, tokens and bytes."""
    from azft.engine.loading import load_chat_tokenizer
    from azft.engine.machine import tokenise_on

    tokenise_on(0)
    reads = load_chat_tokenizer(Path(tokenizer))
    before, seconds, tokens = highest(), 0.0, 0
    with path.open("rb") as lines:
        while texts := [reads.text(orjson.loads(line)) for line in islice(lines, GROUP)]:
            begun = time.perf_counter()
            found = reads.tokenizer.backend_tokenizer.encode_batch(texts, add_special_tokens=False)
            seconds += time.perf_counter() - begun
            tokens += sum(len(one.ids) for one in found)
    print(orjson.dumps([seconds, tokens, highest() - before]).decode())


def main() -> None:
    """Print both, at a tenth of the rows and at all of them."""
    from benchmarks.data import trained
    from benchmarks.ultrachat import generate

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=231_000)
    parser.add_argument("--only", nargs=4, metavar=("WAY", "FILE", "TOKENIZER", "TARGET"))
    given = parser.parse_args()
    if given.only:
        way, path, tokenizer, target = given.only
        engine(Path(path), tokenizer, Path(target)) if way == "engine" else alone(Path(path), tokenizer)
        return
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        trained(generate(folder / "corpus", scale=0.02), folder / "tokenizer")
        for rows in (given.rows // 10, given.rows):
            path = folder / f"{rows}.jsonl"
            write(path, rows)
            found: dict[str, tuple[float, int, int]] = {}
            for way in ("alone", "engine"):
                given_to = [way, str(path), str(folder / "tokenizer"), str(folder / f"{way}-{rows}")]
                made = subprocess.run([sys.executable, __file__, "--only", *given_to], check=True, capture_output=True)
                seconds, tokens, memory = found[way] = orjson.loads(made.stdout)
                size = f"{rows:>9,} rows  {way:<6} {seconds:7.1f} s  {rows / seconds:7,.0f} rows/s"
                print(f"{size}  {tokens:,} tokens  {memory / 2**20:,.0f} MiB", flush=True)
            print(f"           engine / tokenizers: {found['engine'][0] / found['alone'][0]:.2f}", flush=True)


if __name__ == "__main__":
    main()
