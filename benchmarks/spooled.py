"""Prepared training rows as the gate's own spool, so that a step of the gate can be timed by itself."""

from __future__ import annotations

from pathlib import Path

from azft.gate.rejects import Rejects
from azft.gate.checking import Checker
from azft.gate.spool import Spool
from azft.sources.files import parts_of_file


def spooled(folder: Path, work: Path) -> Spool:
    """Return the spool of the one dataset that was prepared below the folder."""
    path = next(folder.glob("*/prepared.json")).with_name("train.jsonl")
    work.mkdir(exist_ok=True)
    with Rejects(work / "bad_rows.jsonl", work / "rejects.jsonl") as bad:
        checker = Checker("train", lambda row: row["messages"], bad)
        chunks = (chunk for part in parts_of_file(path) for chunk in part.read(None))
        return checker.run(chunks, work, final=False)
