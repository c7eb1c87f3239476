"""Data preparation: the notebook's way against azft's, each in a fresh process, interleaved, on made-up ultrachat.

`python benchmarks/data.py FOLDER [--rounds 3] [--only conversion,subset,...]`; about 25 GB of disk and, for the
notebook's preview, 20 GB of memory.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import psutil

sys.path.insert(0, str(Path(__file__).parents[1]))

SPLITS = ("train_sft", "test_sft")


def made(name: str, source: object, target: Path, *arguments: object, **environment: str) -> dict[str, float]:
    """Run a part that fills a folder; what an earlier one left there is removed before, which is not timed."""
    shutil.rmtree(target, ignore_errors=True)
    return run(name, source, target, *arguments, **environment)


def run(name: str, *arguments: object, **environment: str) -> dict[str, float]:
    """Run a part in a fresh process; returns its seconds and, in MiB, its peaks of memory.

    `resident` is that of the process alone, `all` that of it and its workers, where what they share counts once.
    """
    # What an earlier part left to be written would be written during this one.
    os.sync()
    command = [sys.executable, "-W", "ignore", __file__, "--part", name, *map(str, arguments)]
    begun = time.perf_counter()
    settings = {**os.environ, "HF_DATASETS_DISABLE_PROGRESS_BARS": "1", **environment}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=settings, text=True)
    together = 0.0
    while process.poll() is None:
        together = max(together, _together(process.pid))
        # Asking where the pages are holds up the process that is asked about.
        time.sleep(0.3)
    said, wrong = process.communicate()
    seconds = time.perf_counter() - begun
    if process.returncode:
        sys.exit(f"{name} failed\n{wrong}")
    found = dict(line.split("=") for line in said.splitlines() if "=" in line)
    return {"seconds": seconds, "all": together, **{key: float(value) for key, value in found.items()}}


def _together(pid: int) -> float:
    """Return the memory of a process and its children: of pages that n of them have, each has an nth (PSS)."""
    try:
        first = psutil.Process(pid)
        return sum(process.memory_full_info().pss for process in (first, *first.children(recursive=True))) / (1 << 20)
    except psutil.Error:
        return 0.0


def _status(key: str, pid: int | str = "self") -> int:
    """Return a figure of a process in KiB; a zombie has none."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith(f"{key}:")), 0)


def told(**values: float) -> None:
    """Say what was measured inside, and this process's own peak of resident memory (not its parent's)."""
    values["resident"] = _status("VmHWM") / 1024
    print("\n".join(f"{key}={value}" for key, value in values.items()))


def notebook(source: str, target: str, percent: str) -> None:
    """Convert as the notebook's script does."""
    (Path(target) / "out").mkdir(parents=True)
    begun = time.perf_counter()
    from datasets import load_dataset

    for split in SPLITS:
        rows: Any = load_dataset(source, split=f"{split}[0%:{percent}%]", cache_dir=f"{target}/cache")
        rows.to_json(f"{target}/out/{split}.jsonl")
    told(inside=time.perf_counter() - begun)


def azft(source: str, target: str, percent: str, *options: str) -> None:
    """Convert with the whole gate; `options` are "keep" (all columns), "validation=0.1", "workers=2"."""
    begun = time.perf_counter()
    from azft import DatasetPreparer, DatasetSpec

    given = dict(option.split("=") for option in options if "=" in option)
    preparer = DatasetPreparer(
        target,
        percent=float(percent),
        validation=float(given.get("validation", 0)),
        keep="keep" in options,
        workers=int(given.get("workers", 1)),
        progress=False,
    )
    scheme = "" if source.startswith("hf://") else "file://"
    spec = DatasetSpec("chats", f"{scheme}{source}", train_split="train_sft", test_split="test_sft")
    data = preparer.prepare(spec)
    told(inside=time.perf_counter() - begun, rows=data.train.rows + data.validation.rows + data.test.rows)


def floor(source: str) -> None:
    """Decode the Parquet files and do nothing with them."""
    import pyarrow.parquet as pq

    begun = time.perf_counter()
    for path in sorted(Path(source).rglob("*.parquet")):
        for _batch in pq.ParquetFile(path, pre_buffer=False).iter_batches(500, use_threads=False):
            pass
    told(inside=time.perf_counter() - begun)


def equal(target: str, ours: str) -> None:
    """Compare the notebook's rows and azft's, parsed, one by one."""
    import orjson

    folder = next(path.parent for path in Path(ours).glob("*/prepared.json"))
    rows = 0
    for split, name in zip(SPLITS, ("train", "test"), strict=True):
        with (
            (Path(target) / "out" / f"{split}.jsonl").open("rb") as theirs,
            (folder / f"{name}.jsonl").open("rb") as mine,
        ):
            for one, other in zip(theirs, mine, strict=True):
                if orjson.loads(one) != orjson.loads(other):
                    sys.exit(f"row {rows} of {split} differs")
                rows += 1
    told(rows=rows)


def preview(way: str, path: str) -> None:
    """Show the first rows of a large file; pandas is imported before the clock starts, as a notebook has it."""
    import pandas as pd

    before = _status("VmHWM") / 1024
    if way == "notebook":
        begun = time.perf_counter()
        frame = pd.read_json(path, lines=True).head()
    else:
        from azft.domain.jsonable import from_json
        from azft.gate.prepared import PreparedDataset

        data = from_json(PreparedDataset, (Path(path) / "prepared.json").read_bytes())
        before = _status("VmHWM") / 1024
        begun = time.perf_counter()
        frame = data.preview(5)
    told(inside=time.perf_counter() - begun, before=before, rows=len(frame))


def tokens(source: str, folder: str, way: str) -> None:
    """Count the tokens of prepared rows: a plain pass of the tokenizer, exact statistics, or the estimate."""
    import numpy as np
    import orjson
    from transformers import AutoTokenizer

    from azft.engine.tokens import ChatTokenizer
    from azft.gate.token_counts import Counting, count
    from benchmarks.spooled import spooled

    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    spool = spooled(Path(source), Path(folder) / "spool")
    if way == "plain":
        texts = [message["content"] for line in spool.lines.open("rb") for message in orjson.loads(line)["messages"]]
        begun = time.perf_counter()
        fast = tokenizer.backend_tokenizer
        for start in range(0, len(texts), 2_000):
            fast.encode_batch_fast(texts[start : start + 2_000], add_special_tokens=False)
        told(inside=time.perf_counter() - begun, rows=spool.rows)
        return
    how = Counting(ChatTokenizer(tokenizer), 2048, 8, exact=way == "exact")
    begun = time.perf_counter()
    found, _faults = count(spool, np.ones(spool.rows, bool), how, lambda _rows: None)
    told(
        inside=time.perf_counter() - begun,
        rows=found.rows,
        tokens=found.tokens,
        truncated=found.truncated,
        counted=found.counted,
        median_error=found.error[0],
        p99_error=found.error[1],
    )


def trained(source: Path, folder: Path) -> None:
    """Train a BPE tokenizer of 32,000 on some of the text, with the stand-in's chat template."""
    import pyarrow.parquet as pq
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from azft.stages.standin import CHAT_TEMPLATE, SPECIAL

    rows = pq.ParquetFile(next(source.rglob("train_sft-00000*"))).read_row_group(0, columns=["messages"]).to_pylist()
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=32_000, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator((message["content"] for row in rows for message in row["messages"]), trainer)
    PreTrainedTokenizerFast(tokenizer_object=made, pad_token=SPECIAL[0], chat_template=CHAT_TEMPLATE).save_pretrained(
        folder
    )


def gate(path: str, target: str) -> None:
    """Check a JSONL file; the bad rows that are found are counted."""
    from azft import DatasetError, DatasetPreparer, DatasetSpec

    begun = time.perf_counter()
    bad: dict[int, str] = {}
    try:
        DatasetPreparer(target, validation=0, on_bad="raise", duplicates="raise", progress=False).prepare(
            DatasetSpec("planted", f"file://{path}", test_split="")
        )
    except DatasetError as error:
        bad = {row.line: row.code for row in error.rows}
    seconds = time.perf_counter() - begun
    lines = (f"{line} {code}" for line, code in sorted(bad.items()))
    Path(f"{target}.found").write_text("\n".join(lines), encoding="ascii")
    told(inside=seconds, bad=len(bad))


PARTS: dict[str, Callable[..., None]] = {
    part.__name__: part for part in (notebook, azft, floor, equal, preview, tokens, gate)
}


def shown(name: str, runs: list[dict[str, float]]) -> dict[str, float]:
    """Print the medians of some runs, and return them."""
    middle = {key: median(entry[key] for entry in runs) for key in runs[0]}
    spread = f"({min(entry['seconds'] for entry in runs):.2f} to {max(entry['seconds'] for entry in runs):.2f})"
    print(
        f"  {name:<34} {middle['seconds']:8.2f} s {spread:<18} {middle['resident']:8.0f} MiB resident,"
        f" {middle['all']:7.0f} in all",
        flush=True,
    )
    return middle


def compared(title: str, rounds: int, ways: dict[str, Callable[[], dict[str, float]]]) -> dict[str, dict[str, float]]:
    """Run the ways in turn, the order reversed every other round, and print their medians and ratios."""
    print(title)
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(rounds):
        for name in list(ways) if number % 2 == 0 else reversed(list(ways)):
            runs[name].append(ways[name]())
    found = {name: shown(name, entries) for name, entries in runs.items()}
    first = next(iter(found.values()))
    for name, entry in list(found.items())[1:]:
        time_ratio, memory = first["seconds"] / entry["seconds"], entry["all"] / first["all"]
        print(f"    {name}: {time_ratio:.2f}x as fast, {memory:.3f} of the memory")
    return found


def conversion(folder: Path, rounds: int) -> None:
    """Everything of both splits."""
    from benchmarks.ultrachat import TEST_ROWS, TRAIN_ROWS, generate

    source = generate(folder / "full")
    ways = {
        "notebook": lambda: made("notebook", source, folder / "nb", 100),
        "azft, all columns": lambda: made("azft", source, folder / "azft", 100, "keep"),
        "azft, messages": lambda: made("azft", source, folder / "azft2", 100),
        "azft, messages, two workers": lambda: made("azft", source, folder / "azft4", 100, "workers=2"),
        "azft, all columns, two workers": lambda: made("azft", source, folder / "azft5", 100, "keep", "workers=2"),
        "azft, messages, validation cut": lambda: made("azft", source, folder / "azft3", 100, "validation=0.1"),
        "(Parquet decoded, nothing else)": lambda: run("floor", source),
    }
    compared(f"1. {TRAIN_ROWS + TEST_ROWS:,} rows, whole process", rounds, ways)
    print(f"    rows equal: {run('equal', folder / 'nb', folder / 'azft')['rows']:,.0f}")


def repeats(folder: Path, rounds: int) -> None:
    """Everything, where every seventh prompt was asked before."""
    from benchmarks.ultrachat import generate

    plain, again = generate(folder / "full"), generate(folder / "repeated", repeated=0.15)
    ways = {
        "notebook, 15 % repeated": lambda: made("notebook", again, folder / "nb7", 100),
        "azft, messages, 15 % repeated": lambda: made("azft", again, folder / "azft7", 100),
        "azft, messages, 15 %, two workers": lambda: made("azft", again, folder / "azft8", 100, "workers=2"),
        "azft, messages, unique prompts": lambda: made("azft", plain, folder / "azft6", 100),
    }
    compared("6. prompts that repeat, whole process", rounds, ways)


def subset(folder: Path, rounds: int) -> None:
    """Five percent, from files and from a hub."""
    from benchmarks.local_hub import LocalHub
    from benchmarks.ultrachat import generate

    source = generate(folder / "full")
    ways = {
        "notebook, 5 %": lambda: made("notebook", source, folder / "nb5", 5),
        "azft, first 5 %": lambda: made("azft", source, folder / "azft5", 5, "keep"),
    }
    compared("2. 5 % of the rows, whole process", rounds, ways)
    print(f"    rows equal: {run('equal', folder / 'nb5', folder / 'azft5')['rows']:,.0f}")
    hub = folder / "hub" / "HuggingFaceH4"
    hub.mkdir(parents=True, exist_ok=True)
    if not (hub / "chats").exists():
        (hub / "chats").symlink_to(source)
    stored = sum(path.stat().st_size for path in source.rglob("*.parquet"))
    there = folder / "azfth"
    for keep in ("keep", "messages"):
        with LocalHub(hub.parent) as served:
            found = made("azft", "hf://HuggingFaceH4/chats", there, 5, keep, HF_ENDPOINT=served.endpoint)
            requests = sum("/resolve/" in line for line in served.requests)
            share = served.sent / stored
        print(f"    over HTTP ({keep}): {share:.2%} of the bytes, {requests} requests, {found['seconds']:.2f} s")


def previews(folder: Path, _rounds: int) -> None:
    """Show the first rows of a file of 1.5 GB."""
    from benchmarks.ultrachat import generate

    source = generate(folder / "full")
    if not (folder / "nb" / "out").exists():
        made("notebook", source, folder / "nb", 100)
    if not list((folder / "azft").glob("*/prepared.json")):
        made("azft", source, folder / "azft", 100)
    prepared = next((folder / "azft").glob("*/prepared.json")).parent
    ours = run("preview", "azft", prepared)
    theirs = run("preview", "notebook", folder / "nb" / "out" / "train_sft.jsonl")
    print("3. preview of 5 rows")
    for name, entry in (("notebook", theirs), ("azft", ours)):
        added = entry["resident"] - entry["before"]
        print(f"  {name:<10} {entry['inside']:10.4f} s, {added:8.1f} MiB added, whole process {entry['seconds']:.2f} s")
    print(
        f"    {theirs['inside'] / ours['inside']:,.0f}x as fast; {theirs['seconds'] / ours['seconds']:.0f}x by process"
    )


def statistics(folder: Path, rounds: int) -> None:
    """Token statistics, exact on 5 % and estimated on everything."""
    from benchmarks.ultrachat import TRAIN_ROWS, generate

    source = generate(folder / "full")
    small, whole = folder / "tokens5", folder / "tokens100"
    for target in (small, whole):
        if not (target / "tokenizer.json").exists():
            trained(source, target)
    for percent, target in ((5, small), (100, whole)):
        if not (target / "data").exists():
            made("azft", source, target / "data", percent)
    ways = {
        "plain pass of the tokenizer, 5 %": lambda: run("tokens", small / "data", small, "plain"),
        "exact statistics, 5 %": lambda: run("tokens", small / "data", small, "exact"),
        "estimate, everything": lambda: run("tokens", whole / "data", whole, "estimate"),
    }
    found = compared("4. token statistics", rounds, ways)
    plain, exact, estimate = (entry["inside"] for entry in found.values())
    print(
        f"    inside: plain {plain:.2f} s, exact {exact:.2f} s ({exact / plain:.2f} passes), estimate {estimate:.2f} s"
    )
    rows = found["exact statistics, 5 %"]["rows"]
    extrapolated = exact / rows * TRAIN_ROWS
    guess = found["estimate, everything"]
    print(
        f"    the estimate takes {estimate / extrapolated:.1%} of an exact count ({extrapolated:.0f} s, extrapolated)"
    )
    print(
        f"    {guess['counted']:,.0f} rows counted; error of an estimated row {guess['median_error']:.2%} (median),"
        f" {guess['p99_error']:.2%} (99th percentile)"
    )


def faults(folder: Path, rounds: int) -> None:
    """Check a file with 300 faults, and one without."""
    from benchmarks.planted import plant

    folder.mkdir(parents=True, exist_ok=True)
    planted, clean = folder / "planted.jsonl", folder / "clean.jsonl"
    wanted = plant(planted, 100_000, 300, size=150)
    plant(clean, 100_000, 0, size=150, overlong=0)
    ways = {
        "clean": lambda: made("gate", clean, folder / "clean"),
        "300 faults": lambda: made("gate", planted, folder / "planted"),
    }
    found = compared("5. 100,000 rows of JSONL", rounds, ways)
    lines = (folder / "planted.found").read_text(encoding="ascii").splitlines()
    said = {int(line.split()[0]): line.split()[1] for line in lines}
    alarms = found["clean"]["bad"]
    print(f"    found {len(said)}, right in line and code: {said == wanted}; {alarms:.0f} in the clean file")
    print(f"    speed {found['clean']['inside'] / found['300 faults']['inside']:.0%} of the clean file's")


def growth(folder: Path, rounds: int) -> None:
    """Ten times the data."""
    from benchmarks.ultrachat import generate, ten_copies

    one = generate(folder / "third", scale=0.3, seed=1)
    ten = ten_copies(one, folder / "ten")
    ways = {
        "one": lambda: made("azft", one, folder / "one-out", 100),
        "ten": lambda: made("azft", ten, folder / "ten-out", 100),
    }
    found = compared("7. ten times the data", rounds, ways)
    print(f"    inside: {found['ten']['inside'] / found['one']['inside']:.2f} times the time for ten times the rows")


ALL = {
    "conversion": conversion,
    "subset": subset,
    "preview": previews,
    "tokens": statistics,
    "faults": faults,
    "repeats": repeats,
    "growth": growth,
}


def main() -> None:
    """Run a part, or everything."""
    if sys.argv[1:2] == ["--part"]:
        PARTS[sys.argv[2]](*sys.argv[3:])
        return
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(ALL))
    given = parser.parse_args()
    for name in given.only.split(","):
        ALL[name](given.folder.absolute(), given.rounds)


if __name__ == "__main__":
    main()
