"""The one tree of errors; everything azft raises on purpose hangs from `AzftError`.

```text
AzftError                       message, hint
├── ConfigurationError          also ValueError; problems
│   ├── NameTakenError          something of that name exists
│   └── PlanError               findings
├── PluginError
│   ├── UnknownNameError        also KeyError
│   └── DuplicateNameError
├── ComputeError                also ValueError; findings
├── DatasetError                rows (each with file, line, reason)
├── RunError                    run, status
│   ├── RunFailedError          diagnosis
│   ├── RunCanceledError
│   └── RunTimeoutError
└── BackendError
    ├── AuthenticationError
    ├── InUseError
    ├── NotFoundError
    ├── NotOursError
    ├── UnreachableError
    └── UnsupportedError
```
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from azft.escapes import visible

if TYPE_CHECKING:
    from pathlib import Path

    from azft.domain.diagnosis import Diagnosis
    from azft.domain.findings import Finding
    from azft.domain.rows import BadRow
    from azft.domain.run import Run, RunStatus


class AzftError(Exception):
    """Something azft can explain: what was found, what was expected, and what to do next."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  hint: {self.hint}" if self.hint else self.message


class ConfigurationError(AzftError, ValueError):
    """A value given by the user cannot be used; `problems` has every one that was found."""

    def __init__(self, message: str, *, hint: str = "", problems: Sequence[str] = ()) -> None:
        super().__init__("\n".join([message, *(f"  - {problem}" for problem in problems)]), hint=hint)
        self.problems = tuple(problems)


class NameTakenError(ConfigurationError):
    """Something of that name exists already, and azft changes nothing that it did not make."""


class PlanError(ConfigurationError):
    """A plan holds errors, so nothing was submitted; `findings` has them."""

    def __init__(self, message: str, findings: Sequence[Finding], *, hint: str = "") -> None:
        super().__init__(message, hint=hint, problems=[str(finding) for finding in findings])
        self.findings = tuple(findings)


class PluginError(AzftError):
    """A plugin is wrong; the message names it."""


class UnknownNameError(PluginError, KeyError):
    """No plugin offers the name."""


class DuplicateNameError(PluginError):
    """Two plugins offer the same name."""


class ComputeError(AzftError, ValueError):
    """A compute cannot run the job; `findings` has every reason."""

    def __init__(self, message: str, findings: Sequence[Finding], *, hint: str = "") -> None:
        super().__init__("\n".join([message, *(f"  - {finding}" for finding in findings)]), hint=hint)
        self.findings = tuple(findings)


class DatasetError(AzftError):
    """Data cannot be used; `rows` has the bad rows (the first thousand), and `report` the path of a file with all."""

    SHOWN = 10
    LINES = 3

    def __init__(
        self,
        message: str,
        rows: Sequence[BadRow] = (),
        *,
        hint: str = "",
        total: int = 0,
        report: Path | None = None,
    ) -> None:
        alike: dict[tuple[str, ...], list[BadRow]] = {}
        for row in rows:
            alike.setdefault((row.file, row.unit, row.reason, row.code, row.fix), []).append(row)
        shown = list(alike.values())[: self.SHOWN]
        lines = [message, *(f"  - {self._folded(some)}" for some in shown)]
        more = max(total, len(rows)) - sum(map(len, shown))
        if more > 0:
            lines.append(f"  ... and {more:,} more, all in {report or '.rows'}")
        elif report is not None:
            lines.append(f"  all of it is in {report}")
        super().__init__(visible("\n".join(lines)), hint=visible(hint))
        self.rows = tuple(rows)
        self.report = report

    def _folded(self, rows: Sequence[BadRow]) -> str:
        """Return rows that say the same as one line, with the first places and how many more there are."""
        first, *others = rows
        if not others:
            return str(first)
        places = ", ".join(f"{row.line}" for row in rows[: self.LINES])
        more = f" and {len(rows) - self.LINES:,} more" if len(rows) > self.LINES else ""
        fix = f" ({first.fix})" if first.fix else ""
        return f"{first.file}, {first.unit}s {places}{more}: {first.reason} [{first.code}]{fix}"


class RunError(AzftError):
    """A run did not end well."""

    def __init__(self, message: str, run: Run, status: RunStatus, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.run = run
        self.status = status


class RunFailedError(RunError):
    """The run failed; the message holds the step, the cause and the line that proves it, `diagnosis` the same apart."""

    def __init__(
        self, message: str, run: Run, status: RunStatus, *, hint: str = "", diagnosis: Diagnosis | None = None
    ) -> None:
        super().__init__(message, run, status, hint=hint)
        self.diagnosis = diagnosis


class RunCanceledError(RunError):
    """The run was canceled."""


class RunTimeoutError(RunError):
    """The run did not end in the time the caller gave; it is still running."""


class BackendError(AzftError):
    """The place where the work happens refused, or could not be reached."""


class AuthenticationError(BackendError):
    """Nobody is signed in, or the key is wrong."""


class NotFoundError(BackendError):
    """The thing does not exist there."""


class NotOursError(BackendError):
    """The thing has the name and not the mark: somebody else made it, so it is left alone."""


class InUseError(BackendError):
    """The thing is still needed by something that runs."""


class UnreachableError(BackendError):
    """The network, or the service behind it, does not answer."""


class UnsupportedError(BackendError):
    """The backend cannot do this at all."""
