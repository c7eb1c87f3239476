"""A sweep as a step: what its trials run, how many at once, and by which metric the best is found.

Names come in both forms that the SDK writes: a sweep job's (`primaryMetric`) and a node's (`primary_metric`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from azft.testing.emulator.composed.early import policy_of
from azft.testing.emulator.composed.graph import Step
from azft.testing.emulator.composed.search import AT_ONCE, filled, trials_of
from azft.testing.emulator.wire import bad_request

Place = Callable[[str], str]
"""From a path in the store to its address."""


def sweep_step(name: str, properties: Mapping[str, Any], place: Place) -> Step:
    """Return the one step that a sweep job is; the service's refusal of one without a command."""
    trial = properties.get("trial") or {}
    if not isinstance(trial, Mapping) or not trial.get("command"):
        raise bad_request("a sweep needs a 'trial' with a 'command'", "ValidationError")
    limits = properties.get("limits") or {}
    outputs = {
        key: {**(entry or {}), "uri": place(f"azureml/{name}/{key}")}
        for key, entry in (properties.get("outputs") or {}).items()
        if key != "default"
    }
    command = {
        **trial,
        "jobType": "Command",
        "computeId": properties.get("computeId"),
        "inputs": properties.get("inputs") or {},
        "outputs": outputs,
        "limits": {"timeout": limits["trialTimeout"]} if limits.get("trialTimeout") else {},
    }
    search = {
        "search_space": properties.get("searchSpace") or {},
        "objective": properties.get("objective") or {},
        "limits": limits,
        "sampling_algorithm": (properties.get("samplingAlgorithm") or {}).get("samplingAlgorithmType", "Random"),
        "early_termination": properties.get("earlyTermination") or {},
    }
    return Step("", name, "sweep", "sweep", command, {key: str(out["uri"]) for key, out in outputs.items()}, (), search)


def objective_of(search: Mapping[str, Any]) -> tuple[str, str]:
    """Return the metric and the goal of a sweep, empty where it names none."""
    objective = search.get("objective") or {}
    return str(_either(objective, "primaryMetric", "primary_metric") or ""), str(objective.get("goal") or "")


def at_once(search: Mapping[str, Any]) -> int:
    """Return how many trials of a sweep run at once."""
    asked = _either(search.get("limits") or {}, "maxConcurrentTrials", "max_concurrent_trials") or AT_ONCE
    return min(int(asked), AT_ONCE)


def trials_in(step: Step) -> list[dict[str, str]]:
    """Return the values of each trial of a sweep; the service's refusal of one that cannot be."""
    search = step.search
    metric, goal = objective_of(search)
    if not metric:
        raise bad_request("a sweep needs an 'objective' with a 'primaryMetric'", "ValidationError")
    if goal.lower() not in {"minimize", "maximize"}:
        raise bad_request(f"the goal is {goal!r}, expected minimize or maximize", "ValidationError")
    policy_of(search)
    most = int(_either(search.get("limits") or {}, "maxTotalTrials", "max_total_trials") or 0)
    algorithm = search.get("sampling_algorithm") or "random"
    named = algorithm.get("type") if isinstance(algorithm, Mapping) else algorithm
    return trials_of(step.id, search.get("search_space") or {}, str(named), most)


def trial_command(command: Mapping[str, Any], trial: Mapping[str, Any], number: int, place: Place) -> dict[str, Any]:
    """Return the command of one trial: its values put in, as inputs or into the line, and outputs of its own."""
    values = trial["values"]
    outputs = {
        name: {**entry, "uri": place(f"azureml/{trial['id']}/{name}")}
        for name, entry in (command.get("outputs") or {}).items()
    }
    literals = {name: {"jobInputType": "literal", "value": value} for name, value in values.items()}
    return {
        **command,
        "command": filled(str(command["command"]), values),
        "inputs": {**(command.get("inputs") or {}), **literals},
        "outputs": outputs,
        "environmentVariables": {**(command.get("environmentVariables") or {}), "AZUREML_SWEEP_TRIAL": str(number)},
    }


def _either(source: Mapping[str, Any], job: str, node: str) -> Any:
    return source.get(job) or source.get(node)
