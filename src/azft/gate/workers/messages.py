"""What a worker process and the one that started it say to each other; both are azft's, and nobody else is heard."""

from __future__ import annotations

from collections.abc import Sequence

from attrs import frozen

from azft.domain.rows import BadRow
from azft.gate.checking import Tally
from azft.gate.judging import RowJudge
from azft.gate.spool import Records
from azft.gate.workers.tasks import Task

BLOCK = 4 << 20
SLOTS = 4
"""Blocks of memory that each worker shares with the process that started it: it may be ahead by so much."""


@frozen
class Assignment:
    """The tasks of one worker, and how it judges their rows; `aside` is a file for what the shared memory lacks."""

    tasks: Sequence[Task]
    judge: RowJudge
    keep: bool
    aside: str


@frozen
class Made:
    """Lines of a task, their records, and the bad rows between them.

    The lines lie in a shared block, `slot`, or from `offset` on in the file of the task's number where it is -1.
    """

    slot: int
    offset: int
    size: int
    records: Records
    files: Sequence[str]
    bad: Sequence[BadRow]


@frozen
class Ended:
    """A task is done; `tally` is what was seen in it."""

    tally: Tally


@frozen
class Unable:
    """The worker cannot take its assignment, such as a function that stands in the user's own program."""

    why: str
