"""What azft makes in the world: registered models, endpoints, and the entries of its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from attrs import field, frozen

from azft.domain.mappings import copied


@frozen
class RegisteredModel:
    """A model in a registry: `uri` loads it, `tags` say where it comes from."""

    name: str
    version: str
    uri: str
    backend: str
    tags: Mapping[str, str] = field(converter=copied, factory=dict)

    def __str__(self) -> str:
        return f"{self.name}:{self.version} ({self.uri})"


@frozen
class Endpoint:
    """A deployed model that answers at `url`; the key is kept out of every text form."""

    name: str
    url: str
    model: RegisteredModel
    key: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"


ResourceKind = Literal["run", "data", "model", "endpoint", "compute"]


@frozen
class Resource:
    """One thing azft made: enough to delete it from another process."""

    kind: ResourceKind
    name: str
    backend: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@frozen
class CleanupReport:
    """What cleanup deleted, what it left on purpose and why, and what it could not delete and why."""

    deleted: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    failed: tuple[tuple[Resource, str], ...] = ()

    def __str__(self) -> str:
        lines = [f"deleted {resource}" for resource in self.deleted] or ["nothing was left to delete"]
        lines += [f"kept {resource}: {reason}" for resource, reason in self.kept]
        lines += [f"COULD NOT DELETE {resource}: {reason}" for resource, reason in self.failed]
        return "\n".join(lines)
