"""Why a run or a deployment failed, as a value."""

from __future__ import annotations

from attrs import frozen

from azft.views.description import Line, Lines, View

UNKNOWN = "unknown"
"""The cause that no row of the table knows."""


@frozen(repr=False)
class Diagnosis(Line):
    """A named cause, the line that proves it, and what to do; `code` is its entry in the list of codes.

    `step` is the part of the run that failed first, `message` what the service or the program said, whole, and
    `lines` the last lines of that step's log. A cause that nobody knows is "unknown", and then these say everything.
    """

    cause: str
    code: str
    title: str
    evidence: str = ""
    fix: str = ""
    step: str = ""
    message: str = ""
    lines: tuple[str, ...] = ()

    @property
    def known(self) -> bool:
        """Whether the cause has a name."""
        return self.cause != UNKNOWN

    def view(self) -> View:
        """Describe the cause in one line, and then what proves it and what to do."""
        first, *rest = str(self).splitlines()
        return View("Diagnosis", first, (Lines(rest),) if rest else ())

    def __str__(self) -> str:
        where = f"{self.step}: " if self.step else ""
        said = [f"{where}{self.title} [{self.code}]"]
        if self.message and not self.known:
            said.append(f"  said: {self.message}")
        if self.evidence:
            said.append(f"  line: {self.evidence}")
        if not self.known and self.lines:
            said += ["  its log ends:", *(f"    {line}" for line in self.lines)]
        if self.fix:
            said.append(f"  fix: {self.fix}")
        return "\n".join(said)
