"""Files that are broken in every way: only azft's errors, reports in UTF-8, and no row that is lost in silence."""

from __future__ import annotations

import csv
import gzip
import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from azft import DatasetError, DatasetPreparer, PreparedDataset
from tests.conftest import rows_of

ROWS = 24
MODES = ("raise", "drop", "fix")


def rows() -> list[dict[str, Any]]:
    said = ("Réponse", 'a "quoted" word', "one; two, three", "line\nend", "[1, 2]")
    return [{"prompt": f"Question {n}?", "completion": f"{said[n % len(said)]} {n}"} for n in range(ROWS)]


def talks() -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": row["prompt"]},
                {"role": "assistant", "content": row["completion"], **({"weight": 1} if n % 5 == 0 else {})},
            ]
        }
        for n, row in enumerate(rows())
    ]


def table(delimiter: str, encoding: str = "utf-8") -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, ["prompt", "completion"], delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows())
    return out.getvalue().encode(encoding)


def parquet(values: list[dict[str, Any]]) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(values), out, row_group_size=8)
    return bytes(out.getvalue())


def lines(values: list[dict[str, Any]]) -> bytes:
    return b"".join(orjson.dumps(value) + b"\n" for value in values)


FILES: dict[str, bytes] = {
    "pairs.jsonl": lines(rows()),
    "talks.jsonl": lines(talks()),
    "talks.json": json.dumps(talks(), indent=1).encode(),
    "pairs.csv": table(","),
    "pairs;.csv": table(";", "cp1252"),
    "pairs.tsv": table("\t"),
    "talks.jsonl.gz": gzip.compress(lines(talks())),
    "pairs.parquet": parquet(rows()),
    "talks.parquet": parquet(talks()),
}


def flipped(content: bytes, chance: random.Random) -> bytes:
    broken = bytearray(content)
    for _time in range(chance.randint(1, 6)):
        broken[chance.randrange(len(broken))] ^= 1 << chance.randrange(8)
    return bytes(broken)


def cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content))]


def hole(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + content[start + chance.randint(1, 60) :]


def doubled(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + content[start : start + chance.randint(1, 200)] + content[start:]


def quoted(content: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(content))
    return content[:start] + chance.choice([b'"', b"'", b'""', b"[", b"{", b"\\", b"\0"]) + content[start:]


def recoded(content: bytes, chance: random.Random) -> bytes:
    text = content.decode("utf-8", "surrogateescape")
    codec = chance.choice(["utf-16", "utf-16-le", "utf-32", "cp1252", "utf-7", "latin-1"])
    return text.encode(codec, "replace")


def renamed(content: bytes, chance: random.Random) -> bytes:
    old = chance.choice([b"prompt", b"completion", b"messages", b"role", b"content", b"user", b"assistant"])
    new = chance.choice([b"text", b"", b"messages", b"weight", b"rejected", b"label", b"caf\xe9", b"from"])
    return content.replace(old, new, chance.choice([1, 5, -1]))


def replaced(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    word = chance.choice([b"null", b"NaN", b"\xff\xfe", b"\xed\xa0\x80", b"1e999", b"\r", b"\n\n", b"\xef\xbb\xbf"])
    return content[:at] + word + content[at + len(word) :]


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped,
    cut,
    hole,
    doubled,
    quoted,
    recoded,
    renamed,
    replaced,
)


def mutated(number: int) -> tuple[str, bytes]:
    """Return the name and the content of the mutated file of that number, the same every time."""
    chance = random.Random(number)
    name = list(FILES)[number % len(FILES)]
    content = MUTATIONS[number // len(FILES) % len(MUTATIONS)](FILES[name], chance)
    return name, flipped(content, chance) if content and chance.random() < 0.2 else content


def hold(folder: Path, number: int) -> None:
    name, content = mutated(number)
    source = folder / f"{number}-{name}"
    source.write_bytes(content)
    for on_bad in MODES:
        preparer = DatasetPreparer(folder / "data", on_bad=on_bad, validation=0, progress=False)  # type: ignore[arg-type]
        try:
            data = preparer.prepare(source)
        except DatasetError as error:
            _is_explained(error)
            continue
        _accounts(data)


def _is_explained(error: DatasetError) -> None:
    str(error).encode()
    assert error.report is None or rows_of(error.report)


def _accounts(data: PreparedDataset) -> None:
    """Hold that every row read is written or in a report, and that the reports and files are UTF-8 and JSON."""
    written = sum(len(rows_of(file.path)) for file in (data.train, data.validation, data.test))
    bad = rows_of(data.folder / "bad_rows.jsonl")
    lost = sum(row["action"] in ("dropped", "left out") for row in bad)
    assert data.checks.read == written + lost
    assert len(rows_of(data.folder / "rejects.jsonl")) == lost + sum(row["action"] == "fixed" for row in bad)
    unread: dict[str, list[str]] = {}
    for row in bad:
        if "unread" in row:
            unread.setdefault(row["file"], []).append(row["unread"])
    assert dict(data.checks.unread) == {file: ", ".join(parts) for file, parts in unread.items()}
    str(data.report()).encode()


COUNT = 5_000


@pytest.mark.parametrize("part", range(4))
def test_a_sample_of_broken_files_ends_in_azfts_own_errors_or_accounts_for_every_row(tmp_path: Path, part: int) -> None:
    for number in range(part * 97, COUNT, COUNT // 18):
        hold(tmp_path, number)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_more_broken_files_end_in_azfts_own_errors_or_account_for_every_row(tmp_path: Path, part: int) -> None:
    for number in range(part, COUNT, 80):
        hold(tmp_path, number)


def main() -> None:
    """Try all of them; `python -m tests.test_mutations`."""
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        for number in range(COUNT):
            hold(Path(folder), number)
            (Path(folder) / f"{number}-{mutated(number)[0]}").unlink()


if __name__ == "__main__":
    main()
