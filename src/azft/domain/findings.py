"""What a plan has to say, one thing at a time."""

from __future__ import annotations

from typing import Literal, get_args

from attrs import field, frozen

from azft.escapes import visible
from azft.views.description import Line, Table, View, Viewed

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)


@frozen(repr=False)
class Finding(Line):
    """One thing worth saying about a plan: a stable code, what was found, what was expected, how to fix it."""

    code: str
    severity: Severity
    subject: str = field(converter=visible)
    found: str = field(converter=visible)
    expected: str = field(default="", converter=visible)
    fix: str = field(default="", converter=visible)

    def view(self) -> View:
        """Describe it in one line, and as one row."""
        said = f"{self.code} {self.severity}: {self.subject}: {self.found}"
        said += f"; expected {self.expected}" if self.expected else ""
        said += f" ({self.fix})" if self.fix else ""
        return View(f"{self.code}, {self.severity}", said)

    @property
    def advice(self) -> str:
        """What was found, what was expected, and the fix, as sentences."""
        parts = (self.found, self.expected and f"expected {self.expected}", self.fix)
        return ". ".join(_sentence(part) for part in parts if part)


class Findings(Viewed, tuple[Finding, ...]):
    """Findings in order, which a notebook shows as one table."""

    __slots__ = ()

    def table(self, title: str) -> Table:
        """Return them as one table."""
        rows = tuple((f.code, f.severity, f.subject, f.advice) for f in self)
        return Table(title, ("code", "severity", "about", "what and why"), rows)

    def view(self) -> View:
        """Describe them as one table."""
        return View("Findings", f"{len(self)} findings", (self.table("Findings"),) if self else ())


def _sentence(part: str) -> str:
    """Begin with a capital, unless the first word is a name such as `apply_lora=True`."""
    return part[0].upper() + part[1:] if part.split(maxsplit=1)[0].strip(",;:").isalpha() else part
