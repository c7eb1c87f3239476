"""What azft makes in the world: registered models, endpoints, and the entries of its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from attrs import field, frozen

from azft.domain.mappings import copied
from azft.views.description import Line, Lines, Table, View, Viewed, facts

PRIVATE_TAGS = ("azft.session", "azft.token", "azft.key")
"""Tags by which azft knows its own things (`azft.rules.marks`), and that say nothing to a reader."""


@frozen(repr=False)
class RegisteredModel(Line):
    """A model in a registry: `uri` loads it, `tags` say where it comes from."""

    name: str
    version: str
    uri: str
    backend: str
    tags: Mapping[str, str] = field(converter=copied, factory=dict)

    def view(self) -> View:
        """Describe where it is, and where it comes from."""
        tags = [(name, value) for name, value in self.tags.items() if name not in PRIVATE_TAGS]
        rows = [("address", self.uri), ("backend", self.backend), *tags]
        return View("Registered model", f"{self.name}:{self.version} ({self.uri})", (facts("", rows),))


@frozen(repr=False)
class Endpoint(Line):
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

    def view(self) -> View:
        """Describe where it answers; its key is not shown."""
        rows = [("address", self.url), ("model", str(self.model)), ("backend", self.model.backend)]
        rows += [("deployment", self.deployment)] if self.deployment else []
        return View("Endpoint", f"{self.name} at {self.url}", (facts("", rows),))


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


@frozen(repr=False)
class CleanupReport(Viewed):
    """What cleanup deleted, what it left on purpose and why, and what it could not delete and why.

    `unreadable` are lines of the ledger that say nothing, each with its number.
    """

    deleted: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    failed: tuple[tuple[Resource, str], ...] = ()
    unreadable: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def view(self) -> View:
        """Describe what was done, one line for each thing."""
        said = f"{len(self.deleted)} deleted, {len(self.kept)} kept, {len(self.failed)} could not be deleted"
        return View("Clean-up", said, (Lines(self._lines()),))

    def _lines(self) -> list[str]:
        lines = [f"deleted {resource}" for resource in self.deleted] or ["nothing was left to delete"]
        lines += [f"kept {resource}: {reason}" for resource, reason in self.kept]
        lines += [f"COULD NOT DELETE {resource}: {reason}" for resource, reason in self.failed]
        return lines + [f"not read: {line}" for line in self.unreadable]


@frozen(repr=False)
class Leftover(Line):
    """A thing of ours that is still there: `state` is the service's word, `since` seconds since 1970, 0 if not known.

    `size` and `count` are machines that it holds now; `price` is what they cost for an hour, None if that is not known.
    `recorded` is whether the ledger of this folder knows it, None where it was not asked.
    """

    resource: Resource
    state: str = ""
    since: float = 0.0
    size: str = ""
    count: int = 0
    price: float | None = None
    recorded: bool | None = None

    @property
    def running(self) -> bool:
        """Whether it is a run that has not ended."""
        return self.resource.kind == "run" and self.state not in {"completed", "failed", "canceled"}

    def view(self) -> View:
        """Describe it in one line."""
        when = f" since {self.when}" if self.since else ""
        machines = f", {self.machines}" if self.machines else ""
        cost = f", {self.cost}" if self.cost else ""
        unknown = ", in no ledger here" if self.recorded is False else ""
        return View("Leftover", f"{self.resource}: {self.state or 'state not known'}{when}{machines}{cost}{unknown}")

    @property
    def when(self) -> str:
        """Since when it is there, in words; empty if that is not known."""
        return f"{datetime.fromtimestamp(self.since, UTC):%Y-%m-%d %H:%M} UTC" if self.since else ""

    @property
    def machines(self) -> str:
        """The machines that it holds, in words."""
        return f"{self.count} x {self.size}" if self.size and self.count else ""

    @property
    def cost(self) -> str:
        """What they cost, in words."""
        if self.price is None:
            return "price not known" if self.machines else ""
        return f"{self.price:,.2f} an hour"


_RECORDED = {True: "yes", False: "no", None: "not asked"}


class Leftovers(Viewed, tuple[Leftover, ...]):
    """What is left, which a notebook shows as one table."""

    __slots__ = ()

    def view(self) -> View:
        """Describe them as one table."""
        columns = ("what", "state", "since", "machines", "cost", "in the ledger here")
        rows = [
            (str(x.resource), x.state or "not known", x.when, x.machines, x.cost, _RECORDED[x.recorded]) for x in self
        ]
        return View("Leftovers", f"{len(self)} left", (Table("", columns, tuple(rows)),) if rows else ())


@frozen(repr=False)
class SweepReport(Viewed):
    """What of ours was found, and what of it was deleted, left on purpose, or could not be deleted, and why."""

    found: tuple[Leftover, ...] = ()
    deleted: tuple[Resource, ...] = ()
    kept: tuple[tuple[Resource, str], ...] = ()
    failed: tuple[tuple[Resource, str], ...] = ()

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def view(self) -> View:
        """Describe what was found and done, one line for each thing."""
        said = f"{len(self.found)} found, {len(self.deleted)} deleted, {len(self.failed)} could not be deleted"
        return View("Sweep", said, (Lines(self._lines()),))

    def _lines(self) -> list[str]:
        if not self.found:
            return ["nothing of azft's is left"]
        gone, kept, failed = set(self.deleted), dict(self.kept), dict(self.failed)
        lines = []
        for item in self.found:
            resource = item.resource
            said = "deleted " if resource in gone else "COULD NOT DELETE " if resource in failed else ""
            why = failed.get(resource) or kept.get(resource) or ""
            lines.append(f"{said}{item}{f': {why}' if why else ''}")
        return lines
