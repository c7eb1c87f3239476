"""Core quotas: what the service tells of them, and what it refuses because of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azft.snapshot import VirtualMachine, virtual_machines
from azft.testing.emulator.wire import LOCATION, Call, Operation, Reply, arm, bad_request
from azft.testing.emulator.world import World

COMPUTES = "computes"
"""The kind of the documents that clusters are."""
TOTAL_CLUSTERS = 200
TOTAL_CORES, LOW_PRIORITY_CORES = 1_000, 100


class Quotas:
    """`limits` by name, for what a test wants different, and `used` what is used of them.

    The names are those of the live rows: families, "TotalDedicatedCores", "TotalLowPriorityCores", "TotalClusters". A
    family with a limit below 0 has no row, as one that was never granted.
    """

    def __init__(self, world: World, limits: Mapping[str, int], used: Mapping[str, int | None]) -> None:
        self._world = world
        self._limits = dict(limits)
        self._used = dict(used)
        self._total = limits.get("TotalDedicatedCores", TOTAL_CORES)
        self._low_priority = limits.get("TotalLowPriorityCores", limits.get("lowPriorityCores", LOW_PRIORITY_CORES))
        self._clusters = limits.get("TotalClusters", TOTAL_CLUSTERS)

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return [
            arm(
                "GET",
                LOCATION + "/usages",
                self._usages,
                "REST specification",
                note="the rows of the live service: totals, and families twice, told apart by their type",
            ),
            arm("GET", LOCATION + "/quotas", self._quotas_of_workspace, "REST specification"),
        ]

    def offered(self, machine: VirtualMachine) -> bool:
        """Return whether the region offers a size today."""
        return not machine.retired or machine.retired > self._world.today

    def check_room(self, machine: VirtualMachine, tier: str, clusters: int) -> None:
        """Refuse a cluster that the quota has no room for one machine of, as the service does even for min 0."""
        if tier == "LowPriority":
            limit = machine.cores if self._low_priority else 0
            what = "a total Low Priority vCPU quota"
        else:
            family = self._limit(machine.family)
            limit = min(family, self._total)
            what = f"a {machine.family} vCPU quota" if family <= self._total else "a total vCPU quota"
        if limit < machine.cores:
            said = f"The specified subscription has {what} of {limit} and cannot accomodate for at least 1 requested"
            raise bad_request(
                f"{said} managed compute nodes which maps to {machine.cores} vCPUs.", "ClusterMinNodesExceedCoreQuota"
            )
        if clusters >= self._clusters:
            raise bad_request(f"the region has {self._clusters} clusters already", "QuotaExceeded")

    def _usages(self, call: Call) -> Reply:
        """Answer row for row as the live service does: totals, then families, dedicated and low-priority by type."""
        families = sorted(
            {machine.family for machine in virtual_machines() if machine.family and self.offered(machine)}
        )
        clusters = sum(1 for _ in self._world.state.all(COMPUTES))
        rows = [
            self._usage("totalClusters", "TotalClusters", "Total Clusters", clusters, self._clusters),
            self._usage("totalDedicatedCores", "TotalDedicatedCores", "Total Cluster Dedicated Regional vCPUs",
                        self._used.get("TotalDedicatedCores", 0), self._total),
            *(
                self._usage("vmFamily/dedicatedCores", name, f"{_text(name)} Cluster Dedicated vCPUs",
                            self._used.get(name, 0), self._limit(name))
                for name in families
                if self._limit(name) >= 0
            ),
            self._usage("totalLowPriorityCores", "TotalLowPriorityCores", "Total Cluster LowPriority Regional vCPUs",
                        self._used.get("TotalLowPriorityCores", 0), self._low_priority),
            *(
                self._usage("vmFamily/lowPriorityCores", name, f"{_text(name)} Cluster LowPriority vCPUs", 0, -1)
                for name in families
            ),
        ]  # fmt: skip
        return Reply({"value": rows})

    def _usage(self, kind: str, name: str, label: str, used: int | None, limit: int) -> dict[str, Any]:
        scope = f"/subscriptions/{self._world.subscription}"
        tail = f"/usages/{name}" if kind.startswith("vmFamily") else ""
        return {
            "id": f"{scope}{tail}",
            "type": f"Microsoft.MachineLearningServices/{kind}/usages",
            "unit": "Count",
            "currentValue": used,
            "limit": limit,
            "name": {"value": name, "localizedValue": label},
        }

    def _quotas_of_workspace(self, call: Call) -> Reply:
        families = sorted({machine.family for machine in virtual_machines() if machine.family})
        return Reply(
            {
                "value": [
                    {"name": {"value": name, "localizedValue": name}, "limit": self._limit(name), "unit": "Count"}
                    for name in families
                ]
            }
        )

    def _limit(self, family: str) -> int:
        return self._limits.get(family, 200)


def _text(family: str) -> str:
    """Return a family's name as people read it.

    >>> _text("standardNCADSA100v4Family")
    'Standard NCADSA100v4 Family'
    """
    return f"Standard {family.removeprefix('standard').removesuffix('Family')} Family"
