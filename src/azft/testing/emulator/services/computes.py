"""Compute clusters, machine sizes with their real GPU counts, and core quotas."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from azft.snapshot import VirtualMachine, virtual_machines
from azft.testing.emulator.clock import iso
from azft.testing.emulator.router import merged
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
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,22}[A-Za-z0-9]")
TOTAL_CLUSTERS = 200


class Computes:
    """Clusters that cost nothing; `quotas` are cores by family, for what a test wants different."""

    def __init__(self, world: World, quotas: dict[str, int]) -> None:
        self._world = world
        self._quotas = quotas

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
                note="dedicated cores by family, low-priority cores together",
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
        name, body = call["name"], call.body or {}
        properties = body.get("properties", {})
        if not _NAME.fullmatch(name):
            raise bad_request(f"compute name {name!r}: 3 to 24 letters, digits and '-', beginning with a letter")
        if properties.get("computeType") != "AmlCompute":
            raise bad_request(f"computeType {properties.get('computeType')!r} is not emulated", "NotSupported")
        self._machine(properties.get("properties", {}).get("vmSize", ""))
        known = self._world.state.get(KIND, name.lower())
        made = self._kept(name, body, known)
        headers = self._world.operations.start(call, "compute")
        shown = merged(made, {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _patch(self, call: Call) -> Reply:
        known = self._get(call).body
        changed = self._kept(known["name"], merged(known, call.body or {}), known)
        return Reply(changed, 200, self._world.operations.start(call, "compute"))

    def _kept(self, name: str, body: dict[str, Any], known: dict[str, Any] | None) -> dict[str, Any]:
        now = iso(self._world.clock.now())
        created = known["properties"]["createdOn"] if known else now
        inner = {"currentNodeCount": 0, "targetNodeCount": 0, "allocationState": "Steady", "errors": []}
        added = {"properties": inner, "provisioningState": "Succeeded", "createdOn": created, "modifiedOn": now}
        properties = merged(body.get("properties", {}), {**added, "isAttachedCompute": False})
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
        families = sorted({machine.family for machine in virtual_machines() if self._offered(machine)})
        used = dict.fromkeys(families, 0)
        entries = [_usage(self._world, name, "Dedicated vCPUs", used[name], self._limit(name)) for name in families]
        low = _usage(
            self._world, "lowPriorityCores", "Low-priority vCPUs", 0, self._quotas.get("lowPriorityCores", 100)
        )
        clusters = sum(1 for _ in self._world.state.all(KIND))
        total = _usage(self._world, "clusters", "Clusters", clusters, TOTAL_CLUSTERS)
        return Reply({"value": [*entries, low, total]})

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


def _usage(world: World, name: str, label: str, used: int, limit: int) -> dict[str, Any]:
    scope = f"/subscriptions/{world.subscription}/providers/Microsoft.MachineLearningServices/locations/{world.region}"
    return {
        "id": f"{scope}/usages/{name}",
        "type": "Microsoft.MachineLearningServices/usages",
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
        "name": {"value": name, "localizedValue": f"{label} of {name}"},
    }
