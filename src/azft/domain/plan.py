"""The plan: everything that was decided, and every problem, before anything happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from attrs import frozen

from azft.domain import tables
from azft.domain.component import Component
from azft.domain.compute import Compute
from azft.domain.data import DataSettings
from azft.domain.model import Model
from azft.domain.parameters import Parameters, ParameterValue, Resolved
from azft.domain.specs import DatasetSpec
from azft.errors import ConfigurationError

if TYPE_CHECKING:
    from rich.console import RenderableType

Severity = Literal["error", "warning", "note"]


@frozen
class Finding:
    """One thing worth saying about a plan: a stable code, what was found, what was expected, how to fix it."""

    code: str
    severity: Severity
    subject: str
    found: str
    expected: str = ""
    fix: str = ""

    def __str__(self) -> str:
        said = f"{self.code} {self.severity}: {self.subject}: {self.found}"
        said += f"; expected {self.expected}" if self.expected else ""
        return said + (f" ({self.fix})" if self.fix else "")


@frozen
class Plan:
    """What a run would be: model, data, compute, parameters with provenance, names, and all findings."""

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

    def explain(self, name: str) -> Resolved:
        """Say where the value of a parameter comes from and what it displaced."""
        try:
            return self.parameters.explain(name)
        except KeyError:
            raise ConfigurationError(f"the plan has no parameter {name!r}", hint="list(plan.parameters)") from None

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that stop a submit."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def __str__(self) -> str:
        return tables.as_text(self._parts())

    def _repr_html_(self) -> str:
        return tables.as_html(self._parts())

    def _parts(self) -> list[RenderableType]:
        decided = [
            (
                "model",
                f"{self.model.name} {self.model.version}".strip() + (" (stand-in)" if self.model.stand_in else ""),
            ),
            ("data", f"{self.dataset.name}, {self.data.percent:g} % of {self.dataset.source}"),
            ("backend", f"{self.backend}, compute {self.compute.name} ({self.compute.size})"),
            ("component", f"{self.component.name} {self.component.version}"),
            ("display name", self.display_name),
            ("registers as", self.model_name),
        ]
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


def _show(value: ParameterValue) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _displaced(entry: Resolved) -> str:
    return ", ".join(f"{_show(value)} ({source})" for source, value in entry.displaced)


def _advice(finding: Finding) -> str:
    parts = (finding.found, finding.expected and f"expected {finding.expected}", finding.fix)
    return ". ".join(part[0].upper() + part[1:] for part in parts if part)
