"""What a body must hold, and of which kind, before anything is made of it: as Microsoft's specification has it.

Required members, kinds and words are those of the REST API (2023-04-01 and later), as the packages generated from it
tell them (azure-mgmt-machinelearningservices 2.0, @azure/arm-machinelearning 2.1); tests compare.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from azft.domain.component import ComponentInput
from azft.rules.inputs import Refused, read_value
from azft.testing.emulator.wire import bad_request

AUTH_MODES = ("AMLToken", "Key", "AADToken")
PRIORITIES = ("Dedicated", "LowPriority")
COMPUTE_TYPES = ("AKS", "Kubernetes", "AmlCompute", "ComputeInstance", "DataFactory", "VirtualMachine", "HDInsight",
                 "Databricks", "DataLakeAnalytics", "SynapseSpark")  # fmt: skip
JOB_TYPES = ("AutoML", "Command", "Sweep", "Pipeline", "Spark", "FineTuning", "Labeling")
MOST_TAGS, LONGEST_KEY, LONGEST_VALUE = 50, 100, 1000
"""Of a run (resource-limits-capacity, 2025-02-05)."""
COMPUTE_NAME = re.compile(r"[a-zA-Z](?![a-zA-Z0-9-]*-\d+$)[a-zA-Z0-9-]{1,22}[a-zA-Z0-9]")
"""3 to 24 characters, not ending in a dash and digits (how-to-create-attach-compute-cluster; 2025-01-01-preview)."""
MOST_MIRRORED = 50
"""Percent (how-to-safely-rollout-online-endpoints)."""
_SECONDS = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_BAD = "ValidationError"


def body_of(body: Any) -> dict[str, Any]:
    """Return the body of a PUT, with its properties; 400 for one without."""
    if not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
        raise bad_request("the body must be a JSON object with an object 'properties'", _BAD)
    tags = body.get("tags")
    if tags is not None:
        check_tags(tags)
    return body


def check_tags(tags: Any, *, limited: bool = False) -> None:
    """Refuse tags that are no texts by name; of runs also too many and too long ones."""
    if not isinstance(tags, dict) or not all(isinstance(value, str | None) for value in tags.values()):
        raise bad_request("'tags' must be an object of texts", _BAD)
    if limited and len(tags) > MOST_TAGS:
        raise bad_request(f"a run has at most {MOST_TAGS} tags, and here are {len(tags)}", _BAD)
    for name, value in tags.items() if limited else ():
        if len(name) > LONGEST_KEY or len(value or "") > LONGEST_VALUE:
            raise bad_request(
                f"tag {name[:40]!r}: keys have at most {LONGEST_KEY} characters, values {LONGEST_VALUE}", _BAD
            )


def word(source: Mapping[str, Any], name: str, known: Sequence[str], *, needed: bool = False) -> str:
    """Return a member that is one of some words, empty where it is missing and may be."""
    value = source.get(name)
    if value is None and not needed:
        return ""
    if value not in known:
        raise bad_request(f"{name!r} is {value!r}, expected one of {', '.join(known)}", _BAD)
    return str(value)


def whole(source: Mapping[str, Any], name: str, low: int, high: int, *, default: int | None = None) -> int:
    """Return a member that is a whole number within bounds."""
    value = source.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise bad_request(f"{name!r} is {value!r}, expected a whole number from {low} to {high}", _BAD)
    return value


def shares(given: Any) -> dict[str, int]:
    """Return the traffic of an endpoint: whole percents by deployment, 0 or 100 together."""
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise bad_request(f"'traffic' is {given!r}, expected an object", _BAD)
    found = {str(name): whole(given, name, 0, 100) for name in given}
    if sum(found.values()) not in {0, 100}:
        raise bad_request(f"traffic {found}: 0 or 100 together", _BAD)
    return found


def mirrored(given: Any, live: Mapping[str, int]) -> dict[str, int]:
    """Return the mirrored traffic: up to 50 percent, to one deployment that has none of its own."""
    if not given:
        return {}
    if not isinstance(given, dict) or len(given) > 1:
        raise bad_request(f"'mirrorTraffic' is {given!r}, expected one deployment and its percent", _BAD)
    found = {str(name): whole(given, name, 0, MOST_MIRRORED) for name in given}
    if taken := [name for name in found if live.get(name)]:
        raise bad_request(f"mirror traffic {found}: {taken[0]} has live traffic already", _BAD)
    return found


def seconds_of(text: Any) -> float:
    """Return the seconds of a duration as ISO 8601 writes it.

    >>> seconds_of("PT2H30M"), seconds_of("P1DT1S")
    (9000.0, 86401.0)
    """
    found = _SECONDS.fullmatch(str(text))
    if found is None or not any(found.groups()):
        raise bad_request(f"{text!r} is not a duration such as PT1M30S", _BAD)
    days, hours, minutes, seconds = (float(part or 0) for part in found.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def check_input(known: ComponentInput, given: Mapping[str, Any]) -> None:
    """Refuse what a component's declared input does not take: another type, a number out of range, an unknown word."""
    kind = str(given.get("job_input_type") or given.get("jobInputType") or "literal").lower()
    if known.is_asset:
        if kind != known.type:
            raise bad_request(f"input {known.name!r} is {kind}, expected {known.type}", _BAD)
        if not given.get("uri"):
            raise bad_request(f"input {known.name!r} has no 'uri'", _BAD)
        return
    if kind != "literal":
        raise bad_request(f"input {known.name!r} is {kind}, expected a value of the type {known.type}", _BAD)
    read = read_value(known, given.get("value"))
    if isinstance(read, Refused):
        raise bad_request(f"input {known.name!r} is {read.found}, expected {read.expected}", _BAD)
