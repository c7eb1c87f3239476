"""What the server takes: how large a body, within which time, and how many requests at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
from fastapi import Request
from starlette.requests import ClientDisconnect

from azft.backends.local.scoring.requests import BadRequestError

MOST_BYTES = 4 << 20
"""Of a body: more than any model's context holds."""
BODY_WITHIN = 30.0
"""Seconds in which a body must have come."""
MOST_WAITING = 64
"""Requests that are answered or wait for their turn; more are told to come back."""


class RefusedError(Exception):
    """The request is refused with a status of its own."""

    def __init__(self, status: int, message: str, kind: str) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind


class Waiting:
    """How many requests are answered or wait."""

    def __init__(self) -> None:
        self._count = 0

    def check(self) -> None:
        """Refuse one more where too many wait."""
        if self._count >= MOST_WAITING:
            raise RefusedError(429, f"{MOST_WAITING} requests wait already; come back later", "rate_limit_error")

    @asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """Take a place for the length of the block."""
        self.check()
        self._count += 1
        try:
            yield
        finally:
            self._count -= 1


async def json_of(request: Request) -> Any:
    """Return the body of a request, read no further and no longer than is allowed."""
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > MOST_BYTES:
        raise _too_large()
    content = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for block in request.stream():
                content += block
                if len(content) > MOST_BYTES:
                    raise _too_large()
    except TimeoutError:
        said = f"the body did not come within {BODY_WITHIN:g} seconds"
        raise RefusedError(408, said, "invalid_request_error") from None
    except ClientDisconnect:
        raise RefusedError(499, "the client has gone", "client_error") from None
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error


def _too_large() -> RefusedError:
    return RefusedError(413, f"the body has more than {MOST_BYTES >> 20} MiB", "invalid_request_error")
