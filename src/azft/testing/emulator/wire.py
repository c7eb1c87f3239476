"""A call on the wire, a reply to it, and the operations that the emulator knows: the fidelity ledger's entries."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal
from urllib.parse import unquote

from attrs import Factory, field, frozen

from azft.testing.emulator.api_versions import arm_versions

WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.MachineLearningServices"
    "/workspaces/{workspace}"
)
REGISTRY = (
    "/mferp/managementfrontend/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.MachineLearningServices/registries/{registry}"
)
LOCATION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/locations/{location}"
ARM = "management.azure.com"
DATA_PLANE = "{region}.api.azureml.ms"
Source = Literal["SDK source", "REST specification", "documentation", "inferred"]


@frozen
class Call:
    """One request: parameters come from its path."""

    method: str
    host: str
    path: str
    parameters: Mapping[str, str] = field(factory=dict)
    query: Mapping[str, str] = field(factory=dict)
    headers: Mapping[str, str] = field(factory=dict)
    body: Any = None

    def __getitem__(self, name: str) -> str:
        return self.parameters[name]

    def whole(self, key: str, default: int) -> int:
        """Return a number of the query, or the default where it is absent or none."""
        value = self.query.get(key, "")
        return int(value) if value.isdecimal() else default


@frozen
class Reply:
    """One answer; a body of None is empty, bytes go as they are."""

    body: Any = None
    status: int = 200
    headers: Mapping[str, str] = field(factory=dict)


class WireError(Exception):
    """An answer that says no, in the service's form."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.reply = Reply(
            {"error": {"code": code, "message": message, "details": [], "additionalInfo": []}},
            status,
            {"x-ms-error-code": code},
        )


def not_found(noun: str, name: str) -> WireError:
    """Return the answer for a thing that does not exist."""
    return WireError(404, "ResourceNotFound", f"{noun} {name} not found")


def bad_request(message: str, code: str = "UserError") -> WireError:
    """Return the answer for a body the service refuses."""
    return WireError(400, code, message)


@frozen
class Operation:
    """One thing the service does and the emulator imitates, and where its behaviour comes from.

    `host` and `path` hold `{names}`. Empty `versions` means that the service takes none. `open` needs no token.
    """

    method: str
    host: str
    path: str
    handler: Callable[[Call], Reply]
    source: Source
    dated: str = "2026-11"
    versions: Sequence[str] = ()
    note: str = ""
    open: bool = False
    _pattern: re.Pattern[str] = field(
        init=False, repr=False, default=Factory(lambda self: _compiled(self.host, self.path), takes_self=True)
    )

    def match(self, host: str, path: str) -> dict[str, str] | None:
        """Return the values of the names if host and path are this operation's, whatever the method."""
        found = self._pattern.fullmatch(f"{host} {path}")
        return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def arm(
    method: str, path: str, handler: Callable[[Call], Reply], source: Source = "SDK source", note: str = ""
) -> Operation:
    """Return an operation of Azure Resource Manager, under every api-version that is published for it."""
    return Operation(method, ARM, path, handler, source, versions=arm_versions(path), note=note)


def _compiled(host: str, path: str) -> re.Pattern[str]:
    return re.compile(_template(host) + " " + _template(path), re.IGNORECASE)


def _template(text: str) -> str:
    pieces = re.split(r"\{(\w+)\}", text)
    return "".join(
        re.escape(piece) if even % 2 == 0 else f"(?P<{piece}>{'.*' if piece == 'rest' else '[^/ ]+'})"
        for even, piece in enumerate(pieces)
    )


def viewed(items: Sequence[Any], call: Call) -> list[Any]:
    """Return the items that a list shows: those that are not archived, unless the query's `listViewType` says so."""
    wanted = call.query.get("listViewType", "ActiveOnly").lower()
    if wanted == "all":
        return list(items)
    archived = wanted == "archivedonly"
    return [item for item in items if bool((item.get("properties") or {}).get("isArchived")) is archived]


def tagged(items: Sequence[Any], wanted: str, members: str = "tags") -> list[Any]:
    """Return the items that bear all of these tags: names, or names with a value, as `one,two=value`."""
    asked = [part.strip().partition("=") for part in wanted.split(",") if part.strip()]

    def bears(item: Any) -> bool:
        known = (item.get("properties") or {}).get(members) or {}
        return all(name in known and (not sign or str(known[name]) == value) for name, sign, value in asked)

    return [item for item in items if bears(item)]


def page(
    items: Sequence[Any], call: Call, *, most: int = 1000, shown: Callable[[Any], Any] = lambda item: item
) -> Reply:
    """Return one page of a list, each item as `shown` makes it; `nextLink` leads to the rest."""
    begin, size = call.whole("$skip", 0), call.whole("$top", call.whole("count", most)) or most
    body: dict[str, Any] = {"value": [shown(item) for item in items[begin : begin + size]]}
    if "$top" not in call.query and begin + size < len(items):
        query = {**call.query, "$skip": str(begin + size)}
        body["nextLink"] = f"https://{call.host}{call.path}?" + "&".join(f"{k}={v}" for k, v in query.items())
    return Reply(body)
