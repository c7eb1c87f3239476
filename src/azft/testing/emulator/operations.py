"""Long-running operations: accepted at once, in progress for a while, then done or failed."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from azft.testing.emulator.wire import ARM, LOCATION, Call, Operation, Reply, arm, not_found

REMEMBERED = 256
RETRY_AFTER_MS = "50"
_POLLED = "2023-04-01-preview"


class LongOperations:
    """Starts operations and says how they stand; each is in progress at its first look at least."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, Future[None] | None] = OrderedDict()
        self._seen: set[str] = set()
        self._lock = threading.Lock()
        self._pool = ThreadPoolExecutor(max_workers=4, thread_name_prefix="azft-operation")

    def start(self, call: Call, kind: str, work: Callable[[], None] | None = None) -> dict[str, str]:
        """Begin, in a thread of its own if there is work, and return the headers that tell where to look."""
        operation = uuid.uuid4().hex
        with self._lock:
            self._known[operation] = None if work is None else self._pool.submit(work)
            while len(self._known) > REMEMBERED:
                oldest, _ = self._known.popitem(last=False)
                self._seen.discard(oldest)
        subscription = call.parameters.get("subscription", "")
        location = f"/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/emulated"
        base = f"https://{ARM}{location}/{kind}Operations"
        return {
            "Azure-AsyncOperation": f"{base}Status/{operation}?api-version={_POLLED}",
            "Location": f"{base}StatusResult/{operation}?api-version={_POLLED}",
            "x-ms-retry-after-ms": RETRY_AFTER_MS,
        }

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
            body |= {"status": "Failed", "error": {"code": "UserError", "message": str(error), "details": []}}
        return Reply(body, headers={"x-ms-retry-after-ms": RETRY_AFTER_MS})
