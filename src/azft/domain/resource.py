"""What azft makes in the world: registered models, endpoints, and the entries of its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
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
    """A deployed model that answers at `url`; the key is kept out of every text form.

    `deployment` is its part of the endpoint, and `shared` whether the endpoint itself is somebody else's.
    """

    name: str
    url: str
    model: RegisteredModel
    key: str = field(default="", repr=False)
    deployment: str = ""
    shared: bool = False

    @property
    def resource(self) -> Resource:
        """What is to be deleted when it is not needed any more."""
        if self.shared:
            return Resource("deployment", f"{self.name}/{self.deployment}", self.model.backend)
        return Resource("endpoint", self.name, self.model.backend)

    def __str__(self) -> str:
        return f"{self.name} at {self.url}"


ResourceKind = Literal["run", "data", "model", "endpoint", "deployment", "compute", "upload"]


@frozen
class Resource:
    """One thing azft made: enough to delete it from another process.

    `token` is the mark that the thing itself carries, where it can carry one: what has the name without the mark was
    made by somebody else.
    """

    kind: ResourceKind
    name: str
    backend: str
    token: str = field(default="", eq=False, repr=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@frozen
class CleanupReport:
    """What cleanup deleted, what it left on purpose and why, and what it could not delete and why.

    `unreadable` are lines of the ledger that say nothing, each with its number.
    """

    deleted: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    failed: tuple[tuple[Resource, str], ...] = ()
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"deleted {resource}" for resource in self.deleted] or ["nothing was left to delete"]
        lines += [f"kept {resource}: {reason}" for resource, reason in self.kept]
        lines += [f"COULD NOT DELETE {resource}: {reason}" for resource, reason in self.failed]
        lines += [f"not read: {line}" for line in self.unreadable]
        return "\n".join(lines)


@frozen
class Leftover:
    """A thing of ours that is still there: `state` is the service's word, `since` seconds since 1970, 0 if not known.

    `size` and `count` are machines that it holds now; `price` is what they cost for an hour, None if that is not known.
    `recorded` is whether the ledger of this folder knows it.
    """

    resource: Resource
    state: str = ""
    since: float = 0.0
    size: str = ""
    count: int = 0
    price: float | None = None
    recorded: bool = False

    @property
    def running(self) -> bool:
        """Whether it is a run that has not ended."""
        return self.resource.kind == "run" and self.state not in {"completed", "failed", "canceled"}

    def __str__(self) -> str:
        when = f" since {datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC" if self.since else ""
        machines = f", {self.count} x {self.size}" if self.size and self.count else ""
        cost = "" if self.price is None else f", {self.price:,.2f} an hour"
        cost = ", price not known" if self.price is None and self.size and self.count else cost
        unknown = "" if self.recorded else ", in no ledger here"
        return f"{self.resource}: {self.state or 'state not known'}{when}{machines}{cost}{unknown}"


@frozen
class SweepReport:
    """What of ours was found, and what of it was deleted, left on purpose, or could not be deleted, and why."""

    found: tuple[Leftover, ...] = ()
    deleted: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    failed: tuple[tuple[Resource, str], ...] = ()

    def __str__(self) -> str:
        if not self.found:
            return "nothing of azft's is left"
        gone, kept, failed = set(self.deleted), dict(self.kept), dict(self.failed)
        lines = []
        for item in self.found:
            resource = item.resource
            said = "deleted " if resource in gone else "COULD NOT DELETE " if resource in failed else ""
            why = failed.get(resource) or kept.get(resource) or ""
            lines.append(f"{said}{item}{f': {why}' if why else ''}")
        return "\n".join(lines)
