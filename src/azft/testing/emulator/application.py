"""The application behind the certificate: requests become calls, calls find their operation, all of it is recorded."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any

import orjson
from attrs import evolve, frozen
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Host, Route
from starlette.routing import Router as Routes

from azft.errors import AzftError
from azft.testing.emulator.blob_service import BlobService
from azft.testing.emulator.faults import Faults, Faulty
from azft.testing.emulator.router import Router
from azft.testing.emulator.wire import Call, Reply, WireError, bad_request

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

    def __init__(
        self, router: Router, blobs: BlobService, faults: Faults, *, account: str, latency: float = 0.0
    ) -> None:
        self._router = router
        self._blobs = blobs
        self._latency = latency
        self.requests: deque[Recorded] = deque(maxlen=REMEMBERED)
        storage = Routes([Route("/{path:path}", self._storage, methods=METHODS)])
        application = Starlette(
            routes=[
                Host(f"{account}.blob.core.windows.net", storage),
                Route("/{path:path}", self._service, methods=METHODS),
            ]
        )
        self.asgi = Faulty(application, faults, self._record_fault)

    def _record_fault(self, method: str, host: str, path: str, status: int) -> None:
        now = time.monotonic()
        self.requests.append(Recorded(method, host, path, status, now, now))

    async def _storage(self, request: Request) -> Response:
        began = time.monotonic()
        return await self._answered(request, await self._blobs.answer(request), began)

    async def _service(self, request: Request) -> Response:
        began = time.monotonic()
        try:
            call = await _call(request)
        except WireError as error:
            return await self._answered(request, _response(error.reply), began)
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
        head = call.method == "HEAD"
        try:
            reply = self._router.answer(evolve(call, method="GET") if head else call)
        except AzftError as error:
            reply = Reply({"error": {"code": "InternalServerError", "message": str(error)}}, 500)
        return evolve(reply, body=None) if head else reply


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
    except orjson.JSONDecodeError as error:
        raise bad_request(f"the body is not JSON: {error}", "InvalidRequestContent") from None


def _response(reply: Reply) -> Response:
    if reply.body is None or isinstance(reply.body, bytes):
        return Response(reply.body or b"", reply.status, dict(reply.headers))
    return Response(orjson.dumps(reply.body), reply.status, dict(reply.headers), media_type="application/json")
