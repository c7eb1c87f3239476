"""The plan: everything that was decided, and every problem, before anything happens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import TYPE_CHECKING

from attrs import frozen
from cattrs import BaseValidationError

from azft.domain import tables
from azft.domain.component import Component
from azft.domain.compute import Compute, Usage
from azft.domain.data import DataSettings
from azft.domain.findings import Finding
from azft.domain.forecast import DataLook, Forecast
from azft.domain.jsonable import from_json, to_json
from azft.domain.model import Model
from azft.domain.parameters import Parameters, ParameterValue, Resolved
from azft.domain.specs import DatasetSpec
from azft.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import RenderableType


@frozen
class Plan:
    """What a run would be: model, data, compute, parameters with provenance, names, and all findings.

    `day` is when it was made, `usage` the core quotas that day (none where none holds), `look` what the data's first
    rows showed, and `snapshot` the day of the dated facts that stand in for a service that did not answer.
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
    findings: tuple[Finding, ...] = ()
    day: date = date.min
    usage: tuple[Usage, ...] = ()
    look: DataLook | None = None
    forecast: Forecast | None = None
    snapshot: str = ""

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

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def decided(self) -> list[tuple[str, str]]:
        """Return what was decided beside the parameters, as label and text."""
        return [
            (
                "model",
                f"{self.model.name} {self.model.version}".strip() + (" (stand-in)" if self.model.stand_in else ""),
            ),
            ("data", f"{self.dataset.name}, {self.data.percent:g} % of {self.dataset.source}"),
            ("backend", f"{self.backend}, compute {self.compute.name} ({self.compute.size})"),
            ("component", f"{self.component.name} {self.component.version}"),
            ("display name", self.display_name),
            ("registers as", self.model_name),
            *([("rows", str(self.look))] if self.look else []),
            *([("work", str(self.forecast))] if self.forecast else []),
            *([("offline", f"facts of {self.snapshot} stand in for the service")] if self.snapshot else []),
        ]

    def _parts(self) -> list[RenderableType]:
        decided = self.decided()
        chosen = [entry for entry in self.parameters.entries if entry.source != "component defaults"]
        left = len(self.parameters) - len(chosen)
        parameters = [(e.name, _show(e.value), e.source, _displaced(e)) for e in chosen]
        findings = [(f.code, f.severity, f.subject, _advice(f)) for f in self.findings]
        parts = [
            tables.table("Plan", ("", "decided"), decided),
            tables.table(
                f"Parameters ({left} more at the component's defaults)",
                ("parameter", "value", "source", "displaced"),
                parameters,
            ),
        ]
        if findings:
            parts.append(tables.table("Findings", ("code", "severity", "about", "what and why"), findings))
        return parts


def nodes_of(parameters: Parameters) -> int:
    """Return how many machines the parameters ask for; one, where the component has no such input."""
    name = "num_nodes_finetune"
    return parameters.integer(name) if name in parameters else 1


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
            yield f"{name}: is a new input, {_show(now.value)} from {now.source}"
        elif was.value != now.value:
            yield f"{name}: {_show(was.value)} ({was.source}) became {_show(now.value)} ({now.source})"
        elif was.source != now.source:
            yield f"{name}: {_show(now.value)} comes from {now.source}, no longer from {was.source}"
    yield from (f"gone: {finding}" for finding in old.findings if finding not in new.findings)
    yield from (f"new: {finding}" for finding in new.findings if finding not in old.findings)


def _show(value: ParameterValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _displaced(entry: Resolved) -> str:
    return ", ".join(f"{_show(value)} ({source})" for source, value in entry.displaced)


def _advice(finding: Finding) -> str:
    parts = (finding.found, finding.expected and f"expected {finding.expected}", finding.fix)
    return ". ".join(_sentence(part) for part in parts if part)


def _sentence(part: str) -> str:
    """Begin with a capital, unless the first word is a name such as `apply_lora=True`."""
    return part[0].upper() + part[1:] if part.split(maxsplit=1)[0].strip(",;:").isalpha() else part
