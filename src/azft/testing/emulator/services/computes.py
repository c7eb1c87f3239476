"""Compute clusters, machine sizes with their real GPU counts, and core quotas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azft.snapshot import VirtualMachine, virtual_machines
from azft.testing.emulator.clock import iso
from azft.testing.emulator.router import merged
from azft.testing.emulator.shapes import COMPUTE_NAME, COMPUTE_TYPES, PRIORITIES, body_of, whole, word
from azft.testing.emulator.wire import (
    LOCATION,
    WORKSPACE,
    Call,
    Operation,
    Reply,
    arm,
    bad_request,
    not_found,
    page,
)
from azft.testing.emulator.world import World

KIND = "computes"
TOTAL_CLUSTERS = 200
TOTAL_CORES, LOW_PRIORITY_CORES = 1_000, 100
MOST_NODES = 65_536
"""Of one cluster (how-to-manage-quotas)."""


class Computes:
    """Clusters that cost nothing; `quotas` are limits by name, for what a test wants different, `used` what is used.

    The names are those of the live rows: families, "TotalDedicatedCores", "TotalLowPriorityCores", "TotalClusters". A
    family with a limit below 0 has no row, as one that was never granted.
    """

    def __init__(self, world: World, quotas: dict[str, int], used: Mapping[str, int | None]) -> None:
        self._world = world
        self._quotas = quotas
        self._used = dict(used)
        self._total = quotas.get("TotalDedicatedCores", TOTAL_CORES)
        self._low_priority = quotas.get("TotalLowPriorityCores", quotas.get("lowPriorityCores", LOW_PRIORITY_CORES))
        self._clusters = quotas.get("TotalClusters", TOTAL_CLUSTERS)

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        one = WORKSPACE + "/computes/{name}"
        return [
            arm("GET", WORKSPACE + "/computes", self._list, "REST specification"),
            arm("GET", one, self._get),
            arm("PUT", one, self._put, note="refuses unknown sizes and illegal names"),
            arm("PATCH", one, self._patch, "REST specification"),
            arm("DELETE", one, self._delete),
            arm("GET", LOCATION + "/vmSizes", self._sizes, note="sizes of a dated table"),
            arm(
                "GET",
                LOCATION + "/usages",
                self._usages,
                "REST specification",
                note="the rows of the live service: totals, and families twice, told apart by their type",
            ),
            arm("GET", LOCATION + "/quotas", self._quotas_of_workspace, "REST specification"),
        ]

    def exists(self, name: str) -> bool:
        """Whether there is a cluster of that name."""
        return self._world.state.get(KIND, name.lower()) is not None

    def _list(self, call: Call) -> Reply:
        return page(list(self._world.state.all(KIND)), call)

    def _get(self, call: Call) -> Reply:
        found = self._world.state.get(KIND, call["name"].lower())
        if found is None:
            raise not_found("Compute", call["name"])
        return Reply(found)

    def _put(self, call: Call) -> Reply:
        name, body = call["name"], body_of(call.body)
        properties = body["properties"]
        if not COMPUTE_NAME.fullmatch(name):
            raise bad_request(f"compute name {name!r}: 3 to 24 letters, digits and '-', beginning with a letter")
        if word(properties, "computeType", COMPUTE_TYPES, needed=True) != "AmlCompute":
            raise bad_request(f"computeType {properties.get('computeType')!r} is not emulated", "NotSupported")
        inner = properties.get("properties") or {}
        machine = self._machine(str(inner.get("vmSize", "")))
        tier = word(inner, "vmPriority", PRIORITIES) or "Dedicated"
        scale = inner.get("scaleSettings") or {}
        most = whole(scale, "maxNodeCount", 0, MOST_NODES, default=1)
        whole(scale, "minNodeCount", 0, most, default=0)
        known = self._world.state.get(KIND, name.lower())
        if known is None:
            self._check_quota(machine, tier)
        made = self._kept(name, body, known)
        headers = self._world.operations.start(
            call, "compute", of=lambda: self._world.state.get(KIND, name.lower()), about=f"{KIND}/{name}"
        )
        shown = merged(made, {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _check_quota(self, machine: VirtualMachine, tier: str) -> None:
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
        if sum(1 for _ in self._world.state.all(KIND)) >= self._clusters:
            raise bad_request(f"the region has {self._clusters} clusters already", "QuotaExceeded")

    def _patch(self, call: Call) -> Reply:
        known = self._get(call).body
        if not isinstance(call.body, dict):
            raise bad_request("the body must be a JSON object")
        changed = self._kept(known["name"], merged(known, call.body), known)
        return Reply(changed, 200, self._world.operations.start(call, "compute", about=f"{KIND}/{known['name']}"))

    def place(
        self,
        name: str,
        *,
        size: str = "Standard_NC24ads_A100_v4",
        kind: str = "AmlCompute",
        state: str = "Succeeded",
        tier: str = "Dedicated",
        most: int = 2,
        nodes: int = 0,
        allocation: str = "Steady",
        errors: Sequence[tuple[str, str]] = (),
        region: str = "",
        tags: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Put a compute there as somebody else left it: of any kind and state, with errors as (code, message)."""
        told: list[dict[str, Any]] = [
            {"error": {"code": code, "message": text, "target": None, "details": [], "additionalInfo": []}}
            for code, text in errors
        ]
        inner = {
            "vmSize": size,
            "vmPriority": tier,
            "scaleSettings": {"maxNodeCount": most, "minNodeCount": 0, "nodeIdleTimeBeforeScaleDown": "PT2M"},
            "allocationState": allocation,
            "currentNodeCount": nodes,
            "targetNodeCount": nodes,
            "errors": told or None,
        }
        now = iso(self._world.clock.now())
        properties = {
            "computeType": kind,
            "computeLocation": region or self._world.region,
            "provisioningState": state,
            "provisioningErrors": told or None,
            "createdOn": now,
            "modifiedOn": now,
            "isAttachedCompute": False,
            "properties": inner if kind == "AmlCompute" else {"vmSize": size} if kind == "ComputeInstance" else {},
        }
        made = self._world.resource(KIND, name, properties, location=region or self._world.region)
        made["tags"] = dict(tags or {})
        return self._world.state.put(KIND, name.lower(), made)

    def _kept(self, name: str, body: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
        now = iso(self._world.clock.now())
        created = known["properties"]["createdOn"] if known else now
        inner = {"currentNodeCount": 0, "targetNodeCount": 0, "allocationState": "Steady", "errors": None}
        added = {"properties": inner, "provisioningState": "Succeeded", "createdOn": created, "modifiedOn": now}
        more = {"computeLocation": self._world.region, "provisioningErrors": None, "isAttachedCompute": False}
        properties = merged(body.get("properties", {}), {**added, **more})
        made = self._world.resource(KIND, name, properties, location=body.get("location", self._world.region))
        made["tags"] = body.get("tags") or {}
        return self._world.state.put(KIND, name.lower(), made)

    def _delete(self, call: Call) -> Reply:
        if not self._world.state.delete(KIND, call["name"].lower()):
            raise not_found("Compute", call["name"])
        return Reply(None, 202, self._world.operations.start(call, "compute"))

    def _machine(self, size: str) -> VirtualMachine:
        for machine in virtual_machines():
            if machine.name.lower() == size.lower() and self._offered(machine):
                return machine
        raise bad_request(f"VM size {size!r} is not available in {self._world.region}", "InvalidVmSize")

    def _sizes(self, call: Call) -> Reply:
        return Reply({"value": [_size(machine) for machine in virtual_machines() if self._offered(machine)]})

    def _usages(self, call: Call) -> Reply:
        """Answer row for row as the live service does: totals, then families, dedicated and low-priority by type."""
        families = sorted({machine.family for machine in virtual_machines() if self._offered(machine)})
        clusters = sum(1 for _ in self._world.state.all(KIND))
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
        families = sorted({machine.family for machine in virtual_machines()})
        return Reply(
            {
                "value": [
                    {"name": {"value": name, "localizedValue": name}, "limit": self._limit(name), "unit": "Count"}
                    for name in families
                ]
            }
        )

    def _offered(self, machine: VirtualMachine) -> bool:
        return not machine.retired or machine.retired > self._world.today

    def _limit(self, family: str) -> int:
        return self._quotas.get(family, 200)


def _size(machine: VirtualMachine) -> dict[str, Any]:
    return {
        "name": machine.name,
        "family": machine.family,
        "vCPUs": machine.cores,
        "gpus": machine.gpus,
        "osVhdSizeMB": 1047552,
        "maxResourceVolumeMB": machine.disk_gib * 1024,
        "memoryGB": machine.memory_gib,
        "lowPriorityCapable": True,
        "premiumIO": False,
        "supportedComputeTypes": ["AmlCompute", "ComputeInstance"],
    }


def _text(family: str) -> str:
    """Return a family's name as people read it.

    >>> _text("standardNCADSA100v4Family")
    'Standard NCADSA100v4 Family'
    """
    return f"Standard {family.removeprefix('standard').removesuffix('Family')} Family"
