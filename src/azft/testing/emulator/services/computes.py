"""Compute clusters, and machine sizes with their real GPU counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from azft.snapshot import VirtualMachine, virtual_machines
from azft.testing.emulator.clock import iso
from azft.testing.emulator.router import merged
from azft.testing.emulator.services.quotas import COMPUTES as KIND
from azft.testing.emulator.services.quotas import Quotas
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

MOST_NODES = 65_536
"""Of one cluster (how-to-manage-quotas)."""


class Computes:
    """Clusters that cost nothing, as far as the quotas have room for them."""

    def __init__(self, world: World, quotas: Quotas) -> None:
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
        _check_scale(inner)
        known = self._world.state.get(KIND, name.lower())
        if known is None:
            self._quotas.check_room(machine, tier, sum(1 for _ in self._world.state.all(KIND)))
        made = self._kept(name, body, known)
        headers = self._world.operations.start(
            call, "compute", of=lambda: self._world.state.get(KIND, name.lower()), about=f"{KIND}/{name}"
        )
        shown = merged(made, {"properties": {"provisioningState": "Updating" if known else "Creating"}})
        return Reply(shown, 200 if known else 201, headers)

    def _patch(self, call: Call) -> Reply:
        known = self._get(call).body
        if not isinstance(call.body, dict):
            raise bad_request("the body must be a JSON object")
        asked = merged(known, call.body)
        _check_scale(asked["properties"].get("properties") or {})
        changed = self._kept(known["name"], asked, known)
        name = str(known["name"])
        headers = self._world.operations.start(
            call, "compute", of=lambda: self._world.state.get(KIND, name.lower()), about=f"{KIND}/{name}"
        )
        return Reply(changed, 200, headers)

    def place(
        self,
        name: str,
        *,
        size: str = "Standard_NC24ads_A100_v4",
        kind: str = "AmlCompute",
        state: str = "Succeeded",
        tier: str = "Dedicated",
        most: int = 2,
        least: int = 0,
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
            "scaleSettings": {"maxNodeCount": most, "minNodeCount": least, "nodeIdleTimeBeforeScaleDown": "PT2M"},
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
        before = (known or {}).get("properties", {}).get("properties") or {}
        # Another size or tier is not refused, and does not count (azure-rest-api-specs 18889).
        inner |= {name: before[name] for name in ("vmSize", "vmPriority") if before.get(name)}
        added = {"properties": inner, "provisioningState": "Succeeded", "createdOn": created, "modifiedOn": now}
        more = {"computeLocation": self._world.region, "provisioningErrors": None, "isAttachedCompute": False}
        properties = merged(body.get("properties", {}), {**added, **more})
        made = self._world.resource(KIND, name, properties, location=body.get("location", self._world.region))
        made["tags"] = body.get("tags") or {}
        made |= {"identity": self._world.identity(body["identity"], name)} if body.get("identity") else {}
        return self._world.state.put(KIND, name.lower(), made)

    def _delete(self, call: Call) -> Reply:
        if not self._world.state.delete(KIND, call["name"].lower()):
            raise not_found("Compute", call["name"])
        return Reply(None, 202, self._world.operations.start(call, "compute"))

    def _machine(self, size: str) -> VirtualMachine:
        for machine in virtual_machines():
            if machine.name.lower() == size.lower() and self._quotas.offered(machine):
                return machine
        raise bad_request(f"VM size {size!r} is not available in {self._world.region}", "InvalidVmSize")

    def _sizes(self, call: Call) -> Reply:
        return Reply({"value": [_size(machine) for machine in virtual_machines() if self._quotas.offered(machine)]})


def _check_scale(inner: Mapping[str, Any]) -> None:
    scale = inner.get("scaleSettings") or {}
    most = whole(scale, "maxNodeCount", 0, MOST_NODES, default=1)
    whole(scale, "minNodeCount", 0, most, default=0)


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
