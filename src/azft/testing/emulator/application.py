"""The application behind the certificate: requests become calls, calls find their operation, all of it is recorded."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import orjson
from attrs import frozen
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Route
from starlette.routing import Router as Routes

from azft.errors import AzftError
from azft.testing.emulator.blob_service import BlobService
from azft.testing.emulator.router import Router
from azft.testing.emulator.wire import Call, Reply

REMEMBERED = 20_000
METHODS = ["GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"]


@frozen
class Recorded:
    """One request that was answered, and when (seconds of a clock that only runs on); no secret of it is kept."""

    method: str
    host: str
    path: str
    status: int
    began: float = 0.0
    ended: float = 0.0


class Application:
    """The ASGI application; `latency` seconds are added to every answer."""

    def __init__(self, router: Router, blobs: BlobService, *, account: str, latency: float = 0.0) -> None:
        self._router = router
        self._blobs = blobs
        self._latency = latency
        self.requests: deque[Recorded] = deque(maxlen=REMEMBERED)
        storage = Routes([Route("/{path:path}", self._storage, methods=METHODS)])
        self.asgi = Starlette(
            routes=[
                Host(f"{account}.blob.core.windows.net", storage),
                Route("/{path:path}", self._service, methods=METHODS),
            ]
        )

    async def _storage(self, request: Request) -> Response:
        began = time.monotonic()
        return await self._answered(request, await self._blobs.answer(request), began)

    async def _service(self, request: Request) -> Response:
        began = time.monotonic()
        call = await _call(request)
        return await self._answered(request, _response(await run_in_threadpool(self._reply, call)), began)

    async def _answered(self, request: Request, response: Response, began: float) -> Response:
        if self._latency:
            await asyncio.sleep(self._latency)
        host = request.headers.get("host", "").partition(":")[0]
        self.requests.append(
            Recorded(request.method, host, request.url.path, response.status_code, began, time.monotonic())
        )
        return response

    def _reply(self, call: Call) -> Reply:
        try:
            return self._router.answer(call)
        except AzftError as error:
            return Reply({"error": {"code": "InternalServerError", "message": str(error)}}, 500)


async def _call(request: Request) -> Call:
    host = request.headers.get("host", "").partition(":")[0].lower()
    return Call(
        request.method,
        host,
        request.url.path,
        query=dict(request.query_params),
        headers=dict(request.headers),
        body=_body(await request.body(), request.headers.get("content-type", "")),
    )


def _body(content: bytes, kind: str) -> Any:
    if not content:
        return None
    if "json" not in kind:
        return content.decode("utf-8", "replace")
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return None


def _response(reply: Reply) -> Response:
    if reply.body is None or isinstance(reply.body, bytes):
        return Response(reply.body or b"", reply.status, dict(reply.headers))
    return Response(orjson.dumps(reply.body), reply.status, dict(reply.headers), media_type="application/json")
