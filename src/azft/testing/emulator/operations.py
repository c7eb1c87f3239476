"""Long-running operations: accepted at once, in progress for a while, then done or failed."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from azft.testing.emulator.wire import ARM, LOCATION, Call, Operation, Reply, WireError, arm, not_found

REMEMBERED = 256
RETRY_AFTER_MS = "50"
_POLLED = "2023-04-01-preview"


class LongOperations:
    """Starts operations and says how they stand; each is in progress at its first look at least."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Future[None] | None] = OrderedDict()
        self._resources: dict[str, Callable[[], Any] | None] = {}
        self._busy: dict[str, Future[None] | None] = {}
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="azft-operation")

    def start(
        self,
        call: Call,
        kind: str,
        work: Callable[[], None] | None = None,
        *,
        of: Callable[[], Any] | None = None,
        about: str = "",
    ) -> dict[str, str]:
        """Begin, in a thread of its own if there is work, and return the headers that tell where to look.

        `of` gives the resource that the operation is about, for those who ask for its result; `about` is its name,
        which nobody else may change meanwhile.
        """
        operation = uuid.uuid4().hex
        with self._lock:
            self._known[operation] = None if work is None else self._pool.submit(work)
            self._resources[operation] = of
            self._busy[about.lower()] = self._known[operation]
            while len(self._known) > REMEMBERED:
                oldest, _ = self._known.popitem(last=False)
                self._resources.pop(oldest, None)
                self._seen.discard(oldest)
        subscription = call.parameters.get("subscription", "")
        location = f"/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/emulated"
        base = f"https://{ARM}{location}/{kind}Operations"
        return {
            "Azure-AsyncOperation": f"{base}Status/{operation}?api-version={_POLLED}",
            "Location": f"{base}StatusResult/{operation}?api-version={_POLLED}",
            "x-ms-retry-after-ms": RETRY_AFTER_MS,
        }

    def check_free(self, about: str) -> None:
        """Refuse to change what another operation still works on."""
        with self._lock:
            work = self._busy.get(about.lower())
        if work is not None and not work.done():
            raise WireError(409, "Conflict", f"{about}: another operation on it is in progress")

    def close(self) -> None:
        """Wait for the work under way."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def operations(self) -> list[Operation]:
        """Return the operations that tell about operations."""
        note = "status, then the resource itself"
        return [
            arm("GET", f"{LOCATION}/{kind}{suffix}/{{operation}}", self._status, note=note)
            for kind in ("computeOperations", "mfeOperations")
            for suffix in ("Status", "StatusResult")
        ]

    def _status(self, call: Call) -> Reply:
        operation = call["operation"]
        with self._lock:
            if operation not in self._known:
                raise not_found("Operation", operation)
            work = self._known[operation]
            first = operation not in self._seen
            self._seen.add(operation)
        body: dict[str, Any] = {"id": call.path, "name": operation, "status": "Succeeded"}
        if first or (work is not None and not work.done()):
            body["status"] = "InProgress"
        elif work is not None and (error := work.exception()) is not None:
            code = getattr(error, "code", "UserError")
            body |= {"status": "Failed", "error": {"code": code, "message": str(error), "details": []}}
        resource = self._resources.get(operation)
        if "StatusResult/" in call.path and body["status"] == "Succeeded":
            return Reply(None, 204) if resource is None else Reply(resource())
        status = 202 if "StatusResult/" in call.path and body["status"] == "InProgress" else 200
        where = {"Location": f"https://{call.host}{call.path}?api-version={_POLLED}"} if status == 202 else {}  # noqa: PLR2004
        return Reply(body, status, {"x-ms-retry-after-ms": RETRY_AFTER_MS, **where})
