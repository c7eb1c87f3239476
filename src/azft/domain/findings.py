"""What a plan has to say, one thing at a time."""

from __future__ import annotations

from typing import Literal

from attrs import frozen

from azft.escapes import visible

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
        return visible(said + (f" ({self.fix})" if self.fix else ""))
