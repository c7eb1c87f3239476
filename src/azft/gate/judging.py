"""One row at a time: converted, checked, asked of the template, fixed if that is the policy; the same for all who read.

A plan's look, a preview of what is wrong, and the pass over everything judge rows here, and so say the same of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve, frozen

from azft.domain.data import DataSettings
from azft.domain.rows import Action, BadRow, Fault
from azft.gate.conversion import Converted, Converts, trimmed
from azft.gate.template_check import REFUSED, TemplateCheck, without_system
from azft.rules.repair import repaired


@frozen
class Policy:
    """What becomes of bad rows: "raise", "drop" or "fix".

    Rows whose only fault is in `accept` go through; those whose fault is in `leave_out` are left out whatever else.
    """

    on_bad: str = "raise"
    accept: frozenset[str] = frozenset()
    leave_out: frozenset[str] = frozenset()

    @classmethod
    def of(cls, settings: DataSettings, leave_out: Sequence[str] = ()) -> Policy:
        """Return the policy of the settings, for a dataset with faults that are known."""
        return cls(settings.on_bad, frozenset(settings.accept), frozenset(leave_out))

    def action(self, code: str) -> Action:
        """Return what becomes of a row with that fault, if it cannot be fixed."""
        if code in self.accept:
            return "kept"
        if code in self.leave_out:
            return "left out"
        return "refused" if self.on_bad == "raise" else "dropped"


@frozen
class Verdict:
    """What a row is: sound messages (and tools), or none; its fault, and what became of it, if it had one.

    A `row` is one of a task that is not chat, and is what is written.
    """

    messages: list[dict[str, Any]] | None
    tools: Any = None
    fault: Fault | None = None
    action: Action | None = None
    ignored: Sequence[str] = ()
    row: Mapping[str, Any] | None = None


class RowJudge:
    """Judges the rows of one dataset."""

    def __init__(self, converter: Converts, policy: Policy, template: TemplateCheck) -> None:
        self.converter = converter
        self.policy = policy
        self.template = template

    def judge(self, value: Any) -> Verdict:
        """Return what the row is; a `BadRow` is one already."""
        if isinstance(value, BadRow):
            fault = Fault(value.code, value.reason, value.fix)
            return Verdict(None, fault=fault, action=self.policy.action(value.code))
        made = self.converter.convert(value)
        if not self.converter.rows.chats:
            return self._of_other_task(made)
        found = made.fault or self.template.fault(made.messages, made.tools)
        if found is None:
            return self._taken(made.messages, made.tools)
        fault = found
        action = self.policy.action(fault.code)
        if action == "kept":
            return self._taken(made.messages, made.tools, fault, action)
        fixed = self._fixed(made.messages, made.tools, fault) if self.policy.on_bad == "fix" else None
        if fixed is None:
            return Verdict(None, made.tools, fault, action)
        return self._taken(fixed[0], made.tools, evolve(fault, fix=fixed[1]), "fixed")

    def _of_other_task(self, made: Converted) -> Verdict:
        if made.fault is not None:
            return Verdict(None, fault=made.fault, action=self.policy.action(made.fault.code))
        return Verdict(made.messages, row=made.row)

    def _fixed(self, messages: Any, tools: Any, fault: Fault) -> tuple[Sequence[Mapping[str, Any]], str] | None:
        found = repaired(messages) if isinstance(messages, list) and fault.code != REFUSED else (messages, "")
        if found is None or not isinstance(found[0], list):
            return None
        refused = self.template.fault(found[0], tools)
        if refused is None:
            return found if found[1] else None
        if refused.code != REFUSED or found[0][0]["role"] != "system":
            return None
        merged = without_system(found[0])
        said = "the system message put before the first question"
        done = "; ".join(filter(None, (found[1], said)))
        return (merged, done) if self.template.fault(merged, tools) is None else None

    @staticmethod
    def _taken(
        messages: Sequence[Mapping[str, Any]], tools: Any, fault: Fault | None = None, action: Action | None = None
    ) -> Verdict:
        kept, ignored = trimmed(messages)
        return Verdict(kept, tools, fault, action, ignored)
