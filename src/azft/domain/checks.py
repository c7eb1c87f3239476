"""What the gate found in a source."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import evolve, field, frozen

from azft.domain.findings import Finding
from azft.domain.mappings import copied


@frozen
class Checks:
    """Rows read, bad rows by their code and by what became of them, and findings about the whole.

    `ignored` counts what messages held beside role and content, by name; it is not in the prepared files. `duplicates`
    are rows that repeat another, by code; they are no bad rows. `unread` says of files how much of them lies behind a
    place where rows can no longer be told apart; it is in no count of rows.
    """

    read: int = 0
    codes: Mapping[str, int] = field(converter=copied, factory=dict)
    actions: Mapping[str, int] = field(converter=copied, factory=dict)
    ignored: Mapping[str, int] = field(converter=copied, factory=dict)
    findings: tuple[Finding, ...] = ()
    duplicates: Mapping[str, int] = field(converter=copied, factory=dict)
    unread: Mapping[str, str] = field(converter=copied, factory=dict)

    @property
    def bad(self) -> int:
        """The number of bad rows, fixed and accepted ones among them."""
        return sum(self.codes.values())

    def with_findings(self, *findings: Finding) -> Checks:
        """Return the same with more findings."""
        return evolve(self, findings=(*self.findings, *findings))
