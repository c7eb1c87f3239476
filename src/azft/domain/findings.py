"""What a plan has to say, one thing at a time."""

from __future__ import annotations

from typing import Literal

from attrs import field, frozen

from azft.escapes import visible

Severity = Literal["error", "warning", "note"]


@frozen
class Finding:
    """One thing worth saying about a plan: a stable code, what was found, what was expected, how to fix it."""

    code: str
    severity: Severity
    subject: str = field(converter=visible)
    found: str = field(converter=visible)
    expected: str = field(default="", converter=visible)
    fix: str = field(default="", converter=visible)

    def __str__(self) -> str:
        said = f"{self.code} {self.severity}: {self.subject}: {self.found}"
        said += f"; expected {self.expected}" if self.expected else ""
        return said + (f" ({self.fix})" if self.fix else "")
