"""Prepared training rows as the gate's own spool, so that a step of the gate can be timed by itself."""

from __future__ import annotations

from pathlib import Path

from azft.builtin.converters import azft_converters
from azft.gate.checking import Checker
from azft.gate.conversion import RowConverter
from azft.gate.judging import Policy, RowJudge
from azft.gate.rejects import Rejects
from azft.gate.spool import Spool
from azft.gate.spooling import SpoolWriter
from azft.gate.template_check import TemplateCheck
from azft.sources.files import parts_of_file


def spooled(folder: Path, work: Path) -> Spool:
    """Return the spool of the one dataset that was prepared below the folder."""
    path = next(folder.glob("*/prepared.json")).with_name("train.jsonl")
    work.mkdir(exist_ok=True)
    converter = RowConverter((azft_converters()[0],), "as it was prepared")
    judge = RowJudge(converter, Policy(), TemplateCheck(None))
    with Rejects(work) as rejects, SpoolWriter("train", work, final=False) as out:
        checker = Checker("train", judge, out, rejects, keep=False)
        for part in parts_of_file(path):
            for chunk in part.read(None):
                checker.take(chunk)
    return out.spool(checker.tally.unit)
