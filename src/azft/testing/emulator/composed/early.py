"""Which trials of a sweep end early: those whose metric is so much worse than the others' at the same interval.

A trial's interval is how often it has logged the metric. The rules are those of Microsoft's reference of the three
policies (azureml.train.hyperdrive, azure.ai.ml.sweep), whose fields come in both forms that the SDK writes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, median
from typing import Any

from attrs import frozen

from azft.testing.emulator.wire import WireError, bad_request

BANDIT, MEDIAN, TRUNCATION = "bandit", "medianstopping", "truncationselection"
Histories = Mapping[str, Sequence[float]]
"""What each trial has logged of the metric, oldest first, by its id."""


@frozen
class Policy:
    """When trials are judged, in intervals, and by how much they may be worse."""

    kind: str
    every: int = 1
    delay: int = 0
    factor: float = 0.0
    amount: float = 0.0
    percent: int = 0

    def interval(self, logged: int) -> int:
        """Return the last interval at which a trial is judged that has logged so often; 0 for none yet.

        >>> Policy(BANDIT, every=5, delay=10).interval(9), Policy(BANDIT, every=5, delay=10).interval(12)
        (0, 10)
        """
        last = logged // self.every * self.every
        return last if last >= max(self.delay, 1) else 0


def policy_of(search: Mapping[str, Any]) -> Policy | None:
    """Return a sweep's policy, None where it has none; the service's refusal of one that cannot be.

    >>> policy_of({"early_termination": {"policy_type": "MedianStopping", "evaluation_interval": 2}})
    Policy(kind='medianstopping', every=2, delay=0, factor=0.0, amount=0.0, percent=0)
    """
    given = search.get("early_termination")
    if not given:
        return None

    def told(job: str, node: str) -> float:
        value = given.get(job) if given.get(job) is not None else given.get(node)
        try:
            number = float(value or 0)
        except (TypeError, ValueError):
            number = math.nan
        if not math.isfinite(number) or number < 0:
            raise bad_request(f"earlyTermination: {job} is {value}, expected 0 or more", "ValidationError")
        return number

    # A job's, a node's as azure-ai-ml builds it, and a node's from a file.
    named = given.get("policyType") or given.get("policy_type") or given.get("type") or ""
    kind = str(named).replace("_", "").lower()
    if kind not in {BANDIT, MEDIAN, TRUNCATION}:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: the early termination policy {kind!r}")
    found = Policy(
        kind,
        max(int(told("evaluationInterval", "evaluation_interval")), 1),
        int(told("delayEvaluation", "delay_evaluation")),
        told("slackFactor", "slack_factor"),
        told("slackAmount", "slack_amount"),
        int(told("truncationPercentage", "truncation_percentage")),
    )
    if found.kind == BANDIT and bool(found.factor) == bool(found.amount):
        raise bad_request("earlyTermination: a bandit has either 'slackFactor' or 'slackAmount'", "ValidationError")
    if found.kind == TRUNCATION and not 1 <= found.percent <= 99:  # noqa: PLR2004 - a percentage that ends some, not all
        said = f"earlyTermination: truncationPercentage is {found.percent}, expected 1 to 99"
        raise bad_request(said, "ValidationError")
    return found


def ends_early(policy: Policy, trial: str, histories: Histories, goal: str) -> bool:
    """Whether a trial is to end, at its last interval; younger trials are judged by what older ones were then.

    >>> told = {"a": [0.5, 0.8], "b": [0.5, 0.6], "c": [0.5, 0.7]}
    >>> [name for name in told if ends_early(Policy(BANDIT, factor=0.2), name, told, "maximize")]
    ['b']
    """
    at = policy.interval(len(histories[trial]))
    if not at:
        return False
    sign = -1.0 if goal.lower() == "minimize" else 1.0
    # The higher the better from here on; what is no number is worse than every number.
    until = {
        name: [sign * value if math.isfinite(value) else -math.inf for value in values[:at]]
        for name, values in histories.items()
        if values
    }
    mine = max(until[trial])
    if policy.kind == MEDIAN:
        return mine < median(fmean(values) for values in until.values())
    as_old = {name: max(values) for name, values in until.items() if len(values) == at}
    best = max(as_old.values())
    if policy.kind == TRUNCATION:
        ranked = sorted(as_old, key=lambda name: (as_old[name], name))
        return trial in ranked[: len(ranked) * policy.percent // 100]
    if policy.amount:
        return mine < best - policy.amount
    return mine < (best / (1 + policy.factor) if best > 0 else best * (1 + policy.factor))
