"""Schedules: kept, and fired by the emulator's clock, which a test may put forward."""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from azft.errors import AzftError
from azft.testing.emulator.clock import iso
from azft.testing.emulator.jobs import Jobs
from azft.testing.emulator.shapes import JOB_TYPES, body_of, check_tags, word
from azft.testing.emulator.state import Document
from azft.testing.emulator.triggers import check_trigger, due
from azft.testing.emulator.wire import WORKSPACE, Call, Operation, Reply, WireError, arm, bad_request, not_found, page
from azft.testing.emulator.world import World
from azft.waiting import Repeating

KIND = "schedules"
EVERY = 0.5
"""Seconds between two looks at the clock."""
_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}")
_ID = re.compile(r"(?:.*/jobs/)?([a-zA-Z0-9][a-zA-Z0-9_-]*)")
_log = logging.getLogger("azft.emulator")


class Schedules:
    """The schedules of the workspace; `check` refuses a job that cannot be."""

    def __init__(self, world: World, jobs: Jobs, check: Callable[[dict[str, Any]], None]) -> None:
        self._world = world
        self._jobs = jobs
        self._check = check
        self._lock = threading.Lock()
        self._ticking = Repeating(self.look, EVERY, "azft-schedules")

    def start(self) -> None:
        """Begin to look at the clock."""
        self._ticking.__enter__()

    def stop(self) -> None:
        """Look at it no more."""
        self._ticking.__exit__(None, None, None)

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = WORKSPACE + "/schedules"
        note = "fires by the emulator's clock, at most 100 times for one leap of it"
        return [
            arm("GET", base, self._list),
            arm("GET", base + "/{name}", self._get),
            arm("PUT", base + "/{name}", self._put, note=note),
            arm("DELETE", base + "/{name}", self._delete),
            arm("POST", base + "/{name}/trigger", self._trigger, note="at once, whatever time is given"),
        ]

    def look(self) -> None:
        """Begin the jobs of all schedules whose time has come."""
        now = self._world.clock.now()
        for document in list(self._world.state.all(KIND)):
            with self._lock:
                known = self._world.state.get(KIND, document["name"])
                if known is None or not known["properties"]["isEnabled"]:
                    continue
                times = due(known["properties"]["trigger"], float(known["looked"]), now)
                known["looked"] = now
                self._world.state.put(KIND, known["name"], known)
            for at in times:
                try:
                    self._fire(known, at)
                except (AzftError, WireError):
                    _log.exception("schedule %s: its job could not begin", known["name"])

    def _fire(self, document: Document, at: float) -> str:
        stamp = iso(at)[:19].replace("-", "").replace(":", "").replace("T", "")
        base = f"{document['name']}_{stamp}"
        properties = dict(self._definition(document["properties"]["action"]["jobDefinition"]))
        properties["properties"] = {**(properties.get("properties") or {}), "azureml.scheduleId": document["name"]}
        with self._lock:  # Each trigger is a job of its own, also two within a second.
            names = (base if number == 1 else f"{base}_{number}" for number in count(1))
            name = next(name for name in names if not self._jobs.exists(name))
            self._jobs.create(name, properties)
        return name

    def _definition(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Return the job that is to begin: the definition's own, or that of the job that it names."""
        source = _ID.fullmatch(str(given.get("sourceJobId") or ""))
        if source and not given.get("jobs"):
            kept = dict(self._jobs.get(source[1])["properties"])
            named = {key: value for key, value in given.items() if key in {"displayName", "experimentName"} and value}
            return {**kept, **named}
        return {key: value for key, value in given.items() if key not in {"services", "status", "sourceJobId"}}

    def _list(self, call: Call) -> Reply:
        wanted = call.query.get("listViewType", "EnabledOnly").lower()
        found = [
            one
            for one in self._world.state.all(KIND)
            if wanted == "all" or one["properties"]["isEnabled"] is (wanted == "enabledonly")
        ]
        return page(found, call, shown=_shown)

    def _find(self, call: Call) -> Document:
        found = self._world.state.get(KIND, call["name"])
        if found is None:
            raise not_found("Schedule", call["name"])
        return found

    def _get(self, call: Call) -> Reply:
        return Reply(_shown(self._find(call)))

    def _put(self, call: Call) -> Reply:
        name, properties = call["name"], body_of(call.body)["properties"]
        if not _NAME.fullmatch(name):
            raise bad_request(f"schedule {name!r}: 1 to 255 letters, digits, '-' and '_'", "ValidationError")
        check_tags(properties.get("tags") or {})
        action = properties.get("action")
        if not isinstance(action, Mapping) or not isinstance(action.get("jobDefinition"), Mapping):
            kind = action.get("actionType") if isinstance(action, Mapping) else None
            if kind not in {None, "CreateJob"}:
                raise WireError(501, "EmulatorUnhandled", f"not emulated: schedules with the action {kind!r}")
            raise bad_request("'action' needs a 'jobDefinition'", "ValidationError")
        word(action["jobDefinition"], "jobType", JOB_TYPES, needed=True)
        check_trigger(properties.get("trigger"))
        self._check(self._definition(action["jobDefinition"]))
        known = self._world.state.get(KIND, name)
        now = self._world.clock.now()
        enabled = properties.get("isEnabled")
        document = self._world.resource(
            KIND,
            name,
            {**properties, "isEnabled": True if enabled is None else bool(enabled), "provisioningState": "Succeeded"},
            systemData=known["systemData"] if known else self._world.system_data(now),
        )
        document["looked"] = now
        with self._lock:
            self._world.state.put(KIND, name, document)
        headers = self._world.operations.start(call, "mfe", of=lambda: _shown(document), about=f"{KIND}/{name}")
        return Reply(_shown(document), 200 if known else 201, headers)

    def _delete(self, call: Call) -> Reply:
        if self._find(call)["properties"]["isEnabled"]:
            raise bad_request(f"schedule {call['name']} is enabled; disable it first")
        self._world.state.delete(KIND, call["name"])
        return Reply(None, 202, self._world.operations.start(call, "mfe"))

    def _trigger(self, call: Call) -> Reply:
        document = self._find(call)
        name = self._fire(document, self._world.clock.now())
        return Reply({"submissionId": name, "scheduleActionType": "CreateJob"})


def _shown(document: Document) -> Document:
    """Return a schedule without what the emulator alone wants to know of it."""
    return {name: value for name, value in document.items() if name != "looked"}
