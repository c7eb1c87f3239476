"""What versions of components, environments, models, data and code share: their names, their order, their container."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import bad_request
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


def container(world: World, kind: str, name: str, latest: str, created: Any, **more: Any) -> dict[str, Any]:
    """Return what stands above the versions of a name, with the latest and the one that would come next."""
    properties = {
        "latestVersion": latest,
        "nextVersion": str(int(latest) + 1) if latest.isdecimal() else "1",
        "isArchived": False,
        "tags": {},
        "properties": {},
        **more,
    }
    return world.resource(kind, name, properties, systemData=created)
