"""What versions of components, environments, models, data and code share: their names, their order, their container."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from azft.testing.emulator.shapes import body_of
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import Call, bad_request, not_found
from azft.testing.emulator.world import World

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


def is_name(text: str) -> bool:
    """Whether a text may be the name of such a thing, or its version."""
    return bool(_NAME.fullmatch(text))


def check_name(kind: str, name: str, version: str) -> None:
    """Refuse a name or a version that none may have."""
    if not (is_name(name) and is_name(version)):
        raise bad_request(f"{kind} {name}:{version}: 1 to 255 letters, digits, '.', '_' and '-'")


def newest_first(versions: Iterable[Document]) -> list[Document]:
    """Return versions in the order in which the service lists them."""
    return sorted(versions, key=lambda version: str(version["systemData"]["createdAt"]), reverse=True)


def next_number(versions: Iterable[Document]) -> int:
    """Return the number of the version that would come next."""
    return max((int(one["name"]) for one in versions if str(one["name"]).isdecimal()), default=0) + 1


def container(world: World, kind: str, name: str, versions: Sequence[Document], **more: Any) -> dict[str, Any]:
    """Return what stands above the versions of a name, newest first, with the latest and the one that would come next.

    The next one is free, whatever the newest is called. A name whose versions are all archived is archived itself.
    """
    properties = {
        "latestVersion": str(versions[0]["name"]),
        "nextVersion": str(next_number(versions)),
        "isArchived": all(bool(version["properties"].get("isArchived")) for version in versions),
        "tags": {},
        "properties": {},
        **more,
    }
    return world.resource(kind, name, properties, systemData=versions[-1]["systemData"])


def archived(call: Call, noun: str, versions: Sequence[Document]) -> list[Document]:
    """Return the versions of a name as a PUT of their container wants them: all archived, or all restored.

    That is all that may be said of a container here.
    """
    wanted = body_of(call.body)["properties"].get("isArchived")
    if not isinstance(wanted, bool):
        raise bad_request("'isArchived' is missing, expected true or false", "ValidationError")
    if not versions:
        raise not_found(noun, call["name"])
    return [{**one, "properties": {**one["properties"], "isArchived": wanted}} for one in versions]


def is_same(known: Mapping[str, Any], given: Mapping[str, Any], names: Iterable[str]) -> bool:
    """Whether what is known and what is given agree in these members; one that is empty is one that is missing."""
    return all(_bare(known.get(name)) == _bare(given.get(name)) for name in names)


def _bare(value: Any) -> Any:
    if isinstance(value, Mapping):
        kept = {key: _bare(inner) for key, inner in value.items()}
        return {key: inner for key, inner in kept.items() if inner is not None} or None
    if isinstance(value, list | tuple):
        return [_bare(inner) for inner in value] or None
    return value if value != "" else None
