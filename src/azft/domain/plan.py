"""The plan: everything that was decided, and every problem, before anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from attrs import field, frozen
from cattrs import BaseValidationError

from azft.domain.component import Component
from azft.domain.compute import Compute, Usage
from azft.domain.data import DataSettings
from azft.domain.findings import SEVERITIES, Finding, Findings
from azft.domain.forecast import DataLook, Forecast, MemoryLook
from azft.domain.jsonable import from_json, to_json
from azft.domain.model import Model
from azft.domain.parameters import Parameters, Resolved, shown
from azft.domain.pipelines import NODES, first_of
from azft.domain.specs import DatasetSpec
from azft.domain.trainers import Trainer
from azft.errors import ConfigurationError
from azft.views.description import Bar, Cell, More, Part, Table, View, Viewed


@frozen(repr=False)
class Plan(Viewed):
    """What a run would be: model, data, compute, parameters with provenance, names, and all findings.

    `day` is when it was made, `usage` the core quotas that day (none where none holds), `look` what the data's first
    rows showed, `memory` what each device is to hold, `trainer` what trains, and `snapshot` the day of the dated facts
    that stand in for a service that did not answer.
    """

    backend: str
    model: Model
    dataset: DatasetSpec
    data: DataSettings
    compute: Compute
    component: Component
    parameters: Parameters
    display_name: str
    model_name: str
    experiment: str
    findings: tuple[Finding, ...] = field(default=(), converter=Findings)
    day: date = date.min
    usage: tuple[Usage, ...] = ()
    look: DataLook | None = None
    forecast: Forecast | None = None
    snapshot: str = ""
    memory: MemoryLook | None = None
    trainer: Trainer = field(factory=Trainer)

    def explain(self, name: str) -> Resolved:
        """Say where the value of a parameter comes from and what it displaced."""
        try:
            return self.parameters.explain(name)
        except KeyError:
            raise ConfigurationError(f"the plan has no parameter {name!r}", hint="list(plan.parameters)") from None

    @property
    def nodes(self) -> int:
        """How many machines the job runs on."""
        return nodes_of(self.parameters)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop a submit."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def to_json(self) -> str:
        """Return the whole plan as JSON; `Plan.from_json` gives an equal one back."""
        return to_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Plan:
        """Return the plan that `to_json` wrote; `ConfigurationError` for any other text."""
        try:
            return from_json(cls, text)
        except (ValueError, TypeError, KeyError, BaseValidationError) as error:
            raise ConfigurationError(
                f"this is not the JSON of a plan: {type(error).__name__}", hint="give what plan.to_json() returned"
            ) from error

    def diff(self, other: Plan) -> tuple[str, ...]:
        """Say in words what the other plan does differently, line by line; nothing if it does the same."""
        return tuple(_differences(self, other))

    def decided(self) -> list[tuple[str, str]]:
        """Return what was decided beside the parameters, as label and text."""
        ahead = self.forecast
        return [
            (
                "model",
                f"{self.model.name} {self.model.version}".strip() + (" (stand-in)" if self.model.stand_in else ""),
            ),
            ("data", f"{self.dataset.name}, {self.data.percent:g} % of {self.dataset.source}"),
            ("backend", f"{self.backend}, {self._machine()}"),
            *([("trainer", str(self.trainer))] if self.trainer.name else []),
            ("component", f"{self.component.name} {self.component.version}"),
            ("display name", self.display_name),
            ("registers as", self.model_name),
            *([("rows", str(self.look))] if self.look else []),
            *([("work", ahead.work)] if ahead else []),
            *([("time", ahead.time)] if ahead and ahead.time else []),
            *([("cost", ahead.pay)] if ahead and ahead.pay else []),
            *(
                [("comparison", f'{ahead.comparison_said}, if wanted: evaluate(run, where="cluster")')]
                if ahead and ahead.comparison_said
                else []
            ),
            *([("price", ahead.rate)] if ahead and ahead.rate and not ahead.pay else []),
            *([("memory", str(self.memory))] if self.memory else []),
            *([("offline", f"facts of {self.snapshot} stand in for the service")] if self.snapshot else []),
        ]

    def view(self) -> View:
        """Describe the plan: what was decided, the findings, and then only what differs from the defaults."""
        decided: list[tuple[Cell, ...]] = [*self.decided()]
        parts: list[Part] = [Table("Plan", ("", ""), tuple(decided))]
        if self.findings:
            parts.append(Findings(self.findings).table("Findings"))
        entries = [(entry, self._default(entry)) for entry in self.parameters.entries]
        differs = [(e.name, shown(e.value), e.source, default) for e, default in entries if shown(e.value) != default]
        title = "Parameters that differ from the component's defaults"
        if differs:
            parts.append(Table(title, ("parameter", "value", "source", "default"), tuple(differs)))
        if limits := self._limits():
            parts.append(Table("Quotas and memory", ("", "used of the limit"), limits))
        parts.append(More(f"All {len(entries)} parameters", self.parameters.view().parts, "print(plan.parameters)"))
        return View("Plan", f"{self.display_name} on {self.backend}, {self._verdict()}", tuple(parts))

    def _machine(self) -> str:
        if self.compute.size:
            return f"compute {self.compute.name} ({self.compute.size})"
        return "no compute" if self.compute.name == "compute" else f"no compute {self.compute.name}"

    def _verdict(self) -> str:
        counts = [(severity, sum(f.severity == severity for f in self.findings)) for severity in SEVERITIES]
        said = [f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts if count]
        return ", ".join(said) or "nothing to say against it"

    def _default(self, entry: Resolved) -> str:
        known = self.component.input(entry.name)
        return shown(known.default) if known is not None else "unknown"

    def _limits(self) -> tuple[tuple[Cell, ...], ...]:
        """Return bars: the quotas that the compute counts against, and the memory of a device."""
        rows: list[tuple[Cell, ...]] = []
        for usage in self.usage:
            ours = usage.scope == "total" or usage.family.lower() == self.compute.family.lower()
            if ours and usage.used is not None and usage.limit > 0 and usage.tier == self.compute.tier:
                share = min(usage.used / usage.limit, 1.0)
                said = f"{usage.used:,} of {usage.limit:,} cores"
                rows.append((usage.family or "all cores", Bar(share, said, usage.used >= usage.limit)))
        if self.memory and self.memory.room:
            share = self.memory.high / self.memory.room
            said = f"up to {self.memory.high:.1f} of {self.memory.room:.0f} GiB"
            rows.append(("memory of each GPU", Bar(min(share, 1.0), said, share > 1)))
        return tuple(rows)


def nodes_of(parameters: Parameters) -> int:
    """Return how many machines the parameters ask for; one, where the component has no such input."""
    name = first_of(NODES, parameters)
    return parameters.integer(name) if name and parameters[name] is not None else 1


def _differences(old: Plan, new: Plan) -> Iterator[str]:
    before, after = dict(old.decided()), dict(new.decided())
    for label in dict.fromkeys([*before, *after]):
        was_so, is_so = before.get(label, "unknown"), after.get(label, "unknown")
        if was_so != is_so:
            yield f"{label}: {was_so} became {is_so}"
    for name in dict.fromkeys([*old.parameters, *new.parameters]):
        was = old.parameters.explain(name) if name in old.parameters else None
        now = new.parameters.explain(name) if name in new.parameters else None
        if now is None:
            yield f"{name}: is no longer an input"
        elif was is None:
            yield f"{name}: is a new input, {shown(now.value)} from {now.source}"
        elif was.value != now.value:
            yield f"{name}: {shown(was.value)} ({was.source}) became {shown(now.value)} ({now.source})"
        elif was.source != now.source:
            yield f"{name}: {shown(now.value)} comes from {now.source}, no longer from {was.source}"
    yield from (f"gone: {finding}" for finding in old.findings if finding not in new.findings)
    yield from (f"new: {finding}" for finding in new.findings if finding not in old.findings)
