"""How azft's engine and scripts run as command jobs: the settings of a connection, checked before anything is made."""

from __future__ import annotations

import math
from collections.abc import Iterator

from attrs import frozen

from azft.domain.compute import SERVERLESS, Compute
from azft.domain.findings import Finding
from azft.domain.plan import Plan
from azft.errors import ConfigurationError

IDENTITIES = ("", "user", "managed")
TIERS = ("Standard", "Spot")
MOST_RESTARTS = 100
BUILD_MINUTES = (10, 15)
"""Minutes that a first build of such an image takes (huggingface/Microsoft-Azure, fine-tuning examples, 2026-05)."""
DAY = 24 * 3600.0
DAYS, SPOT_DAYS = 21, 7
"""How long a job may last, and one on low-priority machines (Microsoft, Manage and increase quotas, 2026-01)."""
OLD_PYTHON = ("acft-", "acpt-")
"""Curated GPU environments of names with these have Python 3.10 (azureml-assets, 2026-07)."""


@frozen
class Launching:
    """Time limit in seconds (0 for none), identity, tier of serverless machines, restarts, and environment.

    `restarts` is how often a job whose machines were taken away is submitted again. `environment` takes the place of
    azft's own: it must have Python 3.11 or newer and what the engine needs.
    """

    timeout: float = 0.0
    identity: str = ""
    tier: str = "Standard"
    restarts: int = 3
    environment: str = ""

    def checked(self) -> Launching:
        """Return itself; `ConfigurationError` for a value that Azure would refuse."""
        if not (math.isfinite(self.timeout) and self.timeout >= 0):
            raise ConfigurationError(f"job_timeout is {self.timeout}, expected seconds, or 0 for no limit")
        if self.identity not in IDENTITIES:
            known = ", ".join(map(repr, IDENTITIES))
            raise ConfigurationError(f"job_identity is {self.identity!r}, expected one of {known}")
        if self.tier not in TIERS:
            raise ConfigurationError(f"job_tier is {self.tier!r}, expected one of {', '.join(TIERS)}")
        if not 0 <= self.restarts <= MOST_RESTARTS:
            raise ConfigurationError(f"restarts is {self.restarts}, expected 0 to {MOST_RESTARTS}")
        return self


def command_findings(plan: Plan, how: Launching, *, to_be_built: bool) -> tuple[Finding, ...]:
    """Say what such a job would stumble over, or waits for: its image and its identity."""
    return (*_of_environment(how, to_be_built=to_be_built), *_of_identity(plan, how))


def _of_environment(how: Launching, *, to_be_built: bool) -> Iterator[Finding]:
    if to_be_built:
        low, high = BUILD_MINUTES
        found = f"the workspace has no image of azft's engine yet: the first job waits {low} to {high} minutes for it"
        yield Finding("AZFT-T002", "note", "environment", found, fix="nothing to do; later jobs find it")
    if "latest" in how.environment.replace("@", "/").split("/"):
        found = f"{how.environment} is another image after each of its builds"
        yield Finding("AZFT-T003", "warning", "job_environment", found, "a version", "name a version of it")
    if any(name in how.environment for name in OLD_PYTHON):
        found = f"{how.environment} has Python 3.10"
        fix = "leave job_environment out, or give one with Python 3.11 or newer"
        yield Finding("AZFT-T004", "error", "job_environment", found, "Python 3.11 or newer", fix)


def time_limits(compute: Compute, how: Launching) -> tuple[tuple[str, float], ...]:
    """Return the seconds that a job may last, each with what says so."""
    spot = compute.tier.lower() == "lowpriority" or (compute.name == SERVERLESS and how.tier == "Spot")
    azure = (f"{compute.name} (low priority)", SPOT_DAYS * DAY) if spot else (compute.name, DAYS * DAY)
    return (("job_timeout", how.timeout), azure) if how.timeout else (azure,)


def _of_identity(plan: Plan, how: Launching) -> Iterator[Finding]:
    if plan.compute.name == SERVERLESS and how.identity == "managed":
        found = "serverless machines have no identity of their own"
        yield Finding("AZFT-T006", "error", "job_identity", found, "'user'", "leave job_identity out")
