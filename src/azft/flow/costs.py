"""Step 1, its last part: the time and money of a plan, and whether they stay within a budget."""

from __future__ import annotations

from collections.abc import Iterable

from attrs import evolve

from azft.domain.findings import Finding
from azft.domain.forecast import Forecast
from azft.domain.offers import Prices
from azft.domain.plan import Plan
from azft.rules.costs import (
    COMPARISON,
    after_training,
    budget_findings,
    comparison_job,
    costed,
    limit_findings,
)
from azft.snapshot import published_speeds


def with_costs(
    plan: Plan,
    measured: tuple[float, float] | None,
    prices: Prices,
    budget: float | None,
    limits: Iterable[tuple[str, float]] = (),
    *,
    judges: bool = False,
) -> Plan:
    """Return the plan with its time and cost, and what a budget and the place's limits of time say to them.

    `measured` is the speed of earlier runs of its kind, in tokens a second, slow and fast, and `judges` whether the
    place compares models as a job of its own.
    """
    ahead = plan.forecast
    if ahead is not None and plan.look is not None:
        tokens, rows = plan.look.tokens, ahead.test_rows
        apart = judges and plan.trainer.tunes.chats and not plan.trainer.own
        ahead = costed(
            ahead,
            plan.model,
            plan.parameters,
            plan.compute,
            tokens_per_row=tokens,
            nodes=plan.nodes,
            measured=measured,
            published=published_speeds(),
            prices=prices,
            after=after_training(plan.trainer, plan.model, plan.parameters, tokens_per_row=tokens, rows=rows),
            comparison=comparison_job(plan.model, tokens_per_row=tokens, rows=rows) if apart else None,
        )
    said = (*budget_findings(budget, ahead, plan.compute.name), *_within(limits, plan, ahead))
    errors = [finding for finding in said if finding.severity == "error"]
    others = [finding for finding in said if finding.severity != "error"]
    return evolve(plan, forecast=ahead, findings=(*errors, *plan.findings, *others))


def _within(limits: Iterable[tuple[str, float]], plan: Plan, ahead: Forecast | None) -> tuple[Finding, ...]:
    """Say whether what runs as a command job may last as long: a run of azft's own, or a pipeline's comparison."""
    if ahead is None:
        return ()
    if plan.trainer.own:
        return limit_findings(limits, ahead.seconds)
    return limit_findings(limits, ahead.comparison, what=COMPARISON)
