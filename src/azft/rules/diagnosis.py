"""Why did it fail? The first row of the table of causes that the service's words, a log or an exit code prove.

Wrappers that only point elsewhere are never the cause, and what no row knows is shown as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from azft.domain.diagnosis import UNKNOWN, Diagnosis
from azft.rules.causes import CAUSES, Cause

LINES = 15
"""Last lines of a log that are shown where nobody knows the cause."""
LONGEST = 300
"""Characters of a line that are shown."""


_WRAPPERS = tuple(
    re.compile(words)
    for words in (
        r"(?i)pipeline has failed child jobs",
        r"PipelineHasStepJobFailed",
        r"User errors were found in at least one of the child runs",
        r"User process '[^']*' exited with status code",
        r"torch\.distributed\.elastic\.multiprocessing\.errors\.ChildFailedError",
        r"Sending process \d+ closing signal SIGTERM",
        r"death signal, shutting down workers",
        r"SignalException: Process \d+ got signal: 15",
        r"subprocess\.CalledProcessError",
        r"it was not possible to extract the structured error",
    )
)
"""What only points elsewhere, or follows from the cause (failures of Azure ML and of torch's launcher)."""
_STDERR = re.compile(r'last_stderr: Some\("((?:[^"\\]|\\.)*)"\)')
_EXIT = re.compile(r"(?:exited with status code|failed with status code|exitcode\s*:|return code =)\s*`?(-?\d+)")
_COMPILED = tuple((cause, tuple(re.compile(words) for words in cause.words)) for cause in CAUSES)
_SHELL = 128


def diagnosed(message: str, lines: Sequence[str] = (), *, step: str = "", exit_code: int | None = None) -> Diagnosis:
    """Return the cause of a failure: from what the service says of it, its log, and how its process ended.

    >>> diagnosed("Pipeline has failed child jobs.", ["x", "torch.OutOfMemoryError: CUDA out of memory."]).cause
    'cuda-memory'
    >>> diagnosed("", ["nothing known"], exit_code=137).cause, diagnosed("odd").cause
    ('host-memory', 'unknown')
    """
    said = [line.strip() for line in _unwrapped(message) if line.strip()]
    log = [line.strip() for line in lines if line.strip()]
    found = _first(said, early=True) or _first(log, early=True) or _first([*said, *log], early=False)
    ended = exit_code if exit_code is not None else _exit_of([*said, *log])
    specific = found is not None and found[0].name != "exception"
    if not specific and ended is not None and ended != 0:
        by_exit = next((cause for cause in CAUSES if _signal(ended) in cause.exits and cause.name != "exception"), None)
        if by_exit is not None and (found is None or _signal(ended) < 0):
            found = by_exit, f"the process ended with {_told(ended)}"
    shown = tuple(line[:LONGEST] for line in log[-LINES:])
    if found is None:
        fix = "its last lines are above; the whole log is where the run's outputs are"
        return Diagnosis(UNKNOWN, "AZFT-F099", "it failed, and azft does not know why", "", fix, step, message, shown)
    cause, evidence = found
    return Diagnosis(cause.name, cause.code, cause.title, evidence[:LONGEST], cause.fix, step, message, shown)


def _first(lines: Sequence[str], *, early: bool) -> tuple[Cause, str] | None:
    """Return the first row of the table that a line proves; of a log the line nearest to its end."""
    for cause, patterns in _COMPILED:
        if cause.early is not early:
            continue
        for line in reversed(lines):
            wrapper = cause.name == "exception" and any(pattern.search(line) for pattern in _WRAPPERS)
            if not wrapper and any(pattern.search(line) for pattern in patterns):
                return cause, line
    return None


def _unwrapped(message: str) -> Iterator[str]:
    """Yield what a message says, with what a wrapper has swallowed as lines of its own."""
    for found in _STDERR.finditer(message):
        yield from found[1].replace("\\n", "\n").replace('\\"', '"').splitlines()
    yield from message.splitlines()


def _exit_of(lines: Sequence[str]) -> int | None:
    codes = [int(found[1]) for line in lines for found in _EXIT.finditer(line)]
    return next((code for code in codes if _signal(code) not in {0, 1, -15}), codes[0] if codes else None)


def _signal(code: int) -> int:
    """Return 128 and more, as a shell gives a signal, the way Python does: below 0."""
    return _SHELL - code if _SHELL < code < _SHELL + 65 else code


def _told(code: int) -> str:
    return f"signal {-_signal(code)}" if _signal(code) < 0 else f"exit code {code}"
