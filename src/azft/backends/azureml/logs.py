"""Read a log from where it was left off: a long one that grows is not fetched whole at every look."""

from __future__ import annotations

import re
import time
from http import HTTPStatus

import requests
from attrs import frozen

WITHIN = 30.0
"""Seconds for one answer."""
TRIES, PAUSE = 3, 0.3
"""How often a log is asked for, and the seconds before the second time."""
_LINES = re.compile(r"\r\n|\n|\r")
_FOR_GOOD = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@frozen
class Piece:
    """Lines of a log, and the byte behind the last of them.

    `lines` None means that it could not be read: `why`, and whether that may be over soon (`passing`).
    """

    lines: tuple[str, ...] | None
    end: int = 0
    why: str = ""
    passing: bool = False


def read_log(address: str, begin: int = 0, *, ended: bool = True, within: float = WITHIN, tries: int = TRIES) -> Piece:
    """Return the log's lines from byte `begin` on; the last one waits until it is whole, unless the log has `ended`."""
    piece = _read(address, begin, ended=ended, within=within)
    for again in range(1, tries):
        if piece.lines is not None or not piece.passing:
            break
        time.sleep(PAUSE * again)
        piece = _read(address, begin, ended=ended, within=within)
    return piece


def _read(address: str, begin: int, *, ended: bool, within: float) -> Piece:
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    try:
        answer = requests.get(address, headers=headers, timeout=within)
    except requests.RequestException as error:
        # The next look tries again; a log never ends a watch. The address holds a signature, so it is not told.
        passing = not isinstance(error, requests.Timeout)
        return Piece(None, begin, f"the storage cannot be reached ({type(error).__name__})", passing)
    if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Piece((), begin)
    if not answer.ok:
        return Piece(None, begin, f"the storage answered {answer.status_code}", answer.status_code not in _FOR_GOOD)
    if "text/html" in answer.headers.get("content-type", ""):
        return Piece(None, begin, "a web page came in place of it", passing=True)
    content = answer.content if answer.status_code == HTTPStatus.PARTIAL_CONTENT else answer.content[begin:]
    if not ended:
        content = content[: content.rfind(b"\n") + 1]
    # Not by splitlines(), which also divides at what a text within a line may hold.
    lines = _LINES.split(content.decode("utf-8", "replace").removesuffix("\n"))
    return Piece(tuple(lines) if content else (), begin + len(content))
