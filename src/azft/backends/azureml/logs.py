"""Read a log from where it was left off: a long one that grows is not fetched whole at every look."""

from __future__ import annotations

from http import HTTPStatus

import requests
from attrs import frozen

WITHIN = 30.0
"""Seconds for one answer."""


@frozen
class Piece:
    """Lines of a log, and the byte behind the last of them; `lines` None means that it could not be read."""

    lines: tuple[str, ...] | None
    end: int = 0


def read_log(address: str, begin: int = 0, *, ended: bool = True, within: float = WITHIN) -> Piece:
    """Return the log's lines from byte `begin` on; the last one waits until it is whole, unless the log has `ended`."""
    headers = {"Range": f"bytes={begin}-"} if begin else {}
    try:
        answer = requests.get(address, headers=headers, timeout=within)
    except requests.RequestException:
        return Piece(None, begin)  # The next look tries again; a log never ends a watch.
    if answer.status_code == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return Piece((), begin)
    if not answer.ok:
        return Piece(None, begin)
    content = answer.content if answer.status_code == HTTPStatus.PARTIAL_CONTENT else answer.content[begin:]
    if not ended:
        content = content[: content.rfind(b"\n") + 1]
    return Piece(tuple(content.decode("utf-8", "replace").splitlines()), begin + len(content))
