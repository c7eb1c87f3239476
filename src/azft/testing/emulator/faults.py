"""Faults on the wire, scripted: which requests, what happens to them, how often, and after how many that go well."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

import orjson
from attrs import evolve, field, fields, frozen

from azft.errors import ConfigurationError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
MANAGEMENT = r"management\.azure\.com/"
HISTORY = r"api\.azureml\.ms/(history|mlflow)/"
PAGE = b"<!DOCTYPE html><html><head><title>Sign in to your account</title></head><body>Please sign in.</body></html>"


@frozen
class Fault:
    """What happens to some requests.

    `method` and `path` (a regular expression, looked for in HOST/PATH) choose them; empty is all. `status` with `code`
    and `message` answers in the service's form, `body` with whatever it holds. `cut` breaks the answer off halfway,
    `reset` closes the connection without one, after the request has taken effect if it `acted`. `delay` seconds pass
    before. It happens `times` times (None: always), after `after` requests that it would fit go well.
    """

    method: str = ""
    path: str = ""
    status: int = 0
    code: str = ""
    message: str = "the emulator was told to say so"
    body: bytes | None = None
    headers: Mapping[str, str] = field(factory=dict)
    cut: bool = False
    reset: bool = False
    acted: bool = False
    delay: float = 0.0
    times: int | None = 1
    after: int = 0

    def fits(self, method: str, place: str) -> bool:
        """Return whether it concerns a request of HOST/PATH."""
        return (not self.method or method == self.method) and bool(re.search(self.path, place, re.IGNORECASE))


def _busy(status: int, code: str, path: str, times: int) -> Fault:
    return Fault("", path, status, code, headers={"x-ms-retry-after-ms": "20"}, times=times)


PRESETS: Mapping[str, tuple[Fault, ...]] = {
    "throttled": (_busy(429, "TooManyRequests", MANAGEMENT, 3), _busy(429, "TooManyRequests", HISTORY, 2)),
    "token expired": (
        Fault("", f"{MANAGEMENT}|{HISTORY}", 401, "ExpiredAuthenticationToken",
              "The access token expiry UTC time is earlier than current UTC time."),
    ),
    "eventual consistency": (
        Fault("GET", r"/jobs/[^/]+$", 404, "ResourceNotFound", "not found yet", times=2, after=1),
        Fault("GET", r"/history/.*/(details|children)$", 404, "UserError", "Run was not found", times=2),
    ),
    "maintenance": (
        _busy(503, "ServiceUnavailable", f"{MANAGEMENT}|{HISTORY}", 3),
        Fault("", HISTORY, 200, body=PAGE, headers={"content-type": "text/html"}),
    ),
    "signed out": (Fault("", HISTORY, 401, "InvalidAuthenticationToken", "The access token is invalid.", times=3),),
    "workspace roles only": (
        Fault("GET", r"/locations/[^/]+/(usages|vmSizes|quotas)$", 403, "AuthorizationFailed",
              "The client does not have authorization to perform action "
              "'Microsoft.MachineLearningServices/locations/usages/read' over scope '/subscriptions/...'", times=None),
    ),
    "firewall": (
        Fault("", r"\.blob\.core\.windows\.net/", 403, "AuthorizationFailure",
              "This request is not authorized to perform this operation.", times=None),
    ),
    "no data role": (
        Fault("", r"\.blob\.core\.windows\.net/", 403, "AuthorizationPermissionMismatch",
              "This request is not authorized to perform this operation using this permission.", times=None),
    ),
}  # fmt: skip
"""Sets of faults by name (Azure Resource Manager's request limits and common errors; storage and SAS error codes)."""


class Scripted:
    """One fault in force; `met` counts the requests that it happened to."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.met = 0
        self._seen = 0

    def takes(self, method: str, place: str) -> bool:
        """Return whether it happens to this request, and count it."""
        fault = self.fault
        if (fault.times is not None and self.met >= fault.times) or not fault.fits(method, place):
            return False
        self._seen += 1
        if self._seen <= fault.after:
            return False
        self.met += 1
        return True


class Faults:
    """All faults in force; the first that fits a request happens to it. Can be changed from any thread."""

    def __init__(self) -> None:
        self._scripted: list[Scripted] = []
        self._lock = threading.Lock()

    def add(self, *faults: Fault) -> list[Scripted]:
        """Put faults in force."""
        scripted = [Scripted(fault) for fault in faults]
        with self._lock:
            self._scripted += scripted
        return scripted

    def clear(self) -> None:
        """Take all back."""
        with self._lock:
            self._scripted.clear()

    def of(self, method: str, place: str) -> Fault | None:
        """Return what happens to a request, None for nothing."""
        with self._lock:
            return next((one.fault for one in self._scripted if one.takes(method, place)), None)


def preset(name: str) -> tuple[Fault, ...]:
    """Return the faults of a name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigurationError(f"no faults are called {name!r}", hint=f"known are {', '.join(PRESETS)}") from None


class Faulty:
    """The ASGI application with faults before it; `record` is told (method, host, path, status) of each."""

    def __init__(self, application: Application, faults: Faults, record: Callable[[str, str, str, int], None]) -> None:
        self._application = application
        self._faults = faults
        self._record = record

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer a request, or let happen to it what is scripted."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
        host = host.partition(":")[0].lower()
        fault = self._faults.of(scope["method"], host + scope["path"])
        if fault is None:
            await self._application(scope, receive, send)
            return
        self._record(scope["method"], host, scope["path"], fault.status)
        await asyncio.sleep(fault.delay)
        if fault.reset:
            if fault.acted:
                await self._application(scope, receive, _swallow)
            await _abort(send)
        elif fault.cut and not fault.status:
            await self._application(scope, receive, _Halved(send))
        elif fault.status:
            await _answer(fault, send)
        else:
            await self._application(scope, receive, send)


class _Halved:
    """Sends the first half of an answer, and then closes the connection."""

    def __init__(self, send: Send) -> None:
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            body = bytes(message.get("body", b""))
            await self._send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
            await asyncio.sleep(0.01)
            await _abort(self._send)
        else:
            await self._send(message)


async def _swallow(_message: Message) -> None:
    """Take what nobody will hear."""


async def _answer(fault: Fault, send: Send) -> None:
    body = fault.body
    if body is None:
        said = {"code": fault.code, "message": fault.message, "details": [], "additionalInfo": []}
        body = orjson.dumps({"error": said}) if fault.code else b""
    code = {"x-ms-error-code": fault.code} if fault.code else {}
    headers = {"content-type": "application/json", **code, **fault.headers}
    listed = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    listed.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": listed})
    if fault.cut:
        await send({"type": "http.response.body", "body": body[: len(body) // 2], "more_body": True})
        await asyncio.sleep(0.01)
        await _abort(send)
        return
    await send({"type": "http.response.body", "body": body})


async def _abort(send: Any) -> None:
    """Close the connection as it is, which the server's own request cycle has, and wait until the server knows."""
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    if transport is not None:
        transport.abort()
        await asyncio.sleep(0.02)


def fault_of(method: str, path: str, wanted: Fault | None, **settings: Any) -> Fault:
    """Return a fault from its parts; `ConfigurationError` for a part that there is none of."""
    known = {attribute.name for attribute in fields(Fault)}
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ConfigurationError(f"{unknown[0]!r} is no part of a fault", hint=f"they are {', '.join(sorted(known))}")
    return evolve(wanted or Fault(), method=method.upper(), path=path, **settings)
