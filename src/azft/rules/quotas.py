"""Core quotas as Azure ML tells them: three published shapes, and which of their rows stop a job.

Shapes: ListUsages.json of 2018-11-19 and of 2020-04-01, Usage/list.json of 2022-10-01 and 2024-04-01 in the REST
specification. What is answered today is the second one, with a small first letter; dedicated and low-priority rows of
a family share their name there, and only `type` tells them apart.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from azft.domain.compute import Compute, Usage, UsageScope
from azft.domain.findings import Finding

DEDICATED, LOW_PRIORITY = "Dedicated", "LowPriority"
RESERVED = 1.2
"""Of a deployment's machines: Azure keeps a fifth more for upgrades (how-to-manage-quotas)."""
_WORDS = re.compile(r"standard|family|cluster|dedicated|low-?priority|regional|vcpus?|cores?|[^a-z0-9]")


def read_usage(rows: Iterable[Mapping[str, Any]]) -> tuple[Usage, ...]:
    """Return the rows that limit machines, whichever published shape they have; others are left out.

    >>> read_usage([{"type": "x/vmFamily/dedicatedCores/usages", "limit": 24, "currentValue": None,
    ...              "name": {"value": "standardNCADSA100v4Family", "localizedValue": ""}}])
    (Usage(family='standardNCADSA100v4Family', used=None, limit=24, scope='family', tier='Dedicated'),)
    """
    return tuple(usage for row in rows if (usage := _usage(row)) is not None)


def same_family(one: str, other: str) -> bool:
    """Return whether two names mean one family of machines, whatever the case and shape.

    >>> same_family("standardNCADSA100v4Family", "Standard NCADSA100v4 Family Cluster Dedicated vCPUs")
    True
    >>> same_family("standardNCFamily", "standardNCv3Family")
    False
    """
    return bool(one and other) and _folded(one) == _folded(other)


def quota_findings(compute: Compute, usage: Sequence[Usage], *, nodes: int = 1) -> tuple[Finding, ...]:
    """Return what the core quotas say about that many nodes; `usage` empty means that no quota holds.

    Its family limits dedicated machines, and so does the total of the region; low-priority ones only the total, as the
    limit of a family is -1 there, which means that it is not set and not that there is none.

    >>> c = Compute("c", "S", cores=24, family="f")
    >>> [f.code for f in quota_findings(c, [Usage("f", 0, 40)], nodes=2)]
    ['AZFT-Q001']
    """
    if not usage or not compute.cores:
        return ()
    if compute.elsewhere:
        told = f"it is in {compute.region}, and the quotas that were read are those of the workspace's region"
        fix = f"see the quotas of {compute.region} in the portal"
        return (Finding("AZFT-Q005", "warning", compute.name, told, f"{compute.cores * nodes} free cores there", fix),)
    found = list(_gating(compute, usage))
    needed = compute.cores * nodes
    said = [finding for row in found for finding in _of_row(compute, row, needed, nodes)]
    family = compute.tier == LOW_PRIORITY or any(row.scope == "family" for row in found)
    total = any(row.scope == "total" for row in found)
    if not family or (compute.tier == LOW_PRIORITY and not total):
        name = compute.family or compute.size if compute.tier != LOW_PRIORITY else "low-priority cores"
        told = f"the region tells no quota for {name}; one that was never granted has no row"
        fix = "see the portal's quotas, and ask for cores there"
        said.append(Finding("AZFT-Q003", "warning", compute.name, told, f"{needed} free cores", fix))
    return tuple(said)


def cluster_findings(name: str, usage: Sequence[Usage]) -> tuple[Finding, ...]:
    """Return whether the region has room for one more cluster."""
    for row in usage:
        if row.scope == "clusters" and row.used is not None and 0 <= row.limit <= row.used:
            told = f"the region has {row.used} of {row.limit} clusters"
            return (Finding("AZFT-Q001", "error", name, told, "room for one more", "delete one, or ask for more"),)
    return ()


def deployment_findings(compute: Compute, usage: Sequence[Usage], *, instances: int) -> tuple[Finding, ...]:
    """Return what the core quotas say about a deployment, for which Azure wants a fifth more machines than it gets.

    >>> c = Compute("Standard_X", "Standard_X", cores=24, family="f")
    >>> [(f.code, f.severity) for f in deployment_findings(c, [Usage("f", 0, 24)], instances=1)]
    [('AZFT-Q002', 'warning')]
    """
    whole = quota_findings(compute, usage, nodes=instances)
    if any(finding.severity == "error" for finding in whole):
        return whole
    wanted = math.ceil(RESERVED * instances) * compute.cores
    short = [
        row
        for row in _gating(compute, usage)
        if row.limit >= 0 and row.used is not None and row.limit - row.used < wanted
    ]
    return (
        *(finding for finding in whole if finding.code == "AZFT-Q003"),
        *(
            Finding(
                "AZFT-Q002",
                "warning",
                compute.name,
                f"{row.limit - (row.used or 0)} of {row.limit} cores of {row.family} are free, and a deployment may "
                f"need {wanted}: a fifth more machines than it gets, rounded up",
                f"{wanted} free cores",
                "if Azure refuses it, ask for more cores or free some",
            )
            for row in short
        ),
    )


def _gating(compute: Compute, usage: Sequence[Usage]) -> Iterator[Usage]:
    for row in usage:
        if row.tier != compute.tier:
            continue
        if row.scope == "total" or (row.scope == "family" and same_family(row.family, compute.family)):
            yield row


def _of_row(compute: Compute, row: Usage, needed: int, nodes: int) -> Iterator[Finding]:
    if row.limit < 0:
        told = f"the limit of {row.family} is {row.limit}, which says nothing"
        yield Finding("AZFT-Q003", "warning", compute.name, told, f"{needed} free cores", "see the portal's quotas")
    elif row.limit < needed:
        told = f"the quota {row.family} is {row.limit} cores, and {nodes} x {compute.cores} are needed"
        fix = f"ask for {needed} cores of {row.family}, or use fewer nodes or a smaller size"
        yield Finding("AZFT-Q001", "error", compute.name, told, f"at least {needed} cores", fix)
    elif row.used is None:
        told = f"how many of the {row.limit} cores of {row.family} are in use is not told"
        yield Finding("AZFT-Q003", "warning", compute.name, told, f"{needed} free cores", "see the portal's quotas")
    elif row.limit - row.used < needed:
        told = f"{row.used} of {row.limit} cores of {row.family} are in use, and {needed} are needed"
        fix = "the job waits until some are free"
        yield Finding("AZFT-Q002", "warning", compute.name, told, "free cores", fix)


def _usage(row: Mapping[str, Any]) -> Usage | None:
    name = row.get("name") or {}
    value, text = str(name.get("value") or ""), str(name.get("localizedValue") or "")
    kind, both = str(row.get("type") or "").lower(), f"{value} {text}".lower()
    if "/workspaces/" in str(row.get("id") or "").lower() or "workspaces/" in kind or "workspace/" in kind:
        return None  # A limit of one workspace, or of one cluster within it: repeated from its parent.
    tier = LOW_PRIORITY if "lowpriority" in (kind + both).replace(" ", "").replace("-", "") else DEDICATED
    scope: UsageScope
    if "vmfamily" in kind or "family" in both:
        scope = "family"
    elif "clusters" in kind or "total clusters" in both or value.lower() in {"clusters", "totalclusters"}:
        scope = "clusters"
    elif "core" in kind or "vcpu" in both or "core" in both:
        # So the specification of 2020 calls the number of clusters.
        scope = "clusters" if value.lower() == "totalcores" else "total"
    else:
        return None
    used, limit = row.get("currentValue"), row.get("limit")
    if scope == "family" and tier == LOW_PRIORITY and (limit is None or int(limit) < 0):
        return None  # Not set, which is not "without limit": only the total counts.
    return Usage(value or text, None if used is None else int(used), -1 if limit is None else int(limit), scope, tier)


def _folded(family: str) -> str:
    return _WORDS.sub("", family.lower())
