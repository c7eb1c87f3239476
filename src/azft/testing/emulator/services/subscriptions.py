"""What `az login` and the first lines of scripts ask: subscriptions, tenants, regions, groups, the workspace's keys."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from typing import Any

from azft.testing.emulator.wire import ARM, WORKSPACE, Call, Operation, Reply, WireError, arm, not_found
from azft.testing.emulator.world import World

VERSIONS = ("2016-06-01", "2018-06-01", "2019-06-01", "2019-11-01", "2020-01-01", "2021-01-01", "2022-12-01")
"""Of subscriptions and tenants (azure-mgmt-resource 21 to 24, azure-mgmt-resource-subscriptions 1.0)."""
GROUP_VERSIONS = (
    "2019-10-01", "2020-06-01", "2020-10-01", "2021-01-01", "2021-04-01", "2022-09-01", "2023-07-01", "2024-03-01",
    "2024-07-01", "2024-11-01", "2025-03-01", "2025-04-01",
)  # fmt: skip
"""Of resource groups (bicep-types-az, microsoft.resources)."""


class Subscriptions:
    """One subscription of one tenant, with one group in one region."""

    def __init__(self, world: World) -> None:
        self._world = world

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        note = "asked by az login"
        one = "/subscriptions/{subscription}"

        def plain(path: str, handler: Callable[[Call], Reply], versions: Sequence[str]) -> Operation:
            return Operation("GET", ARM, path, handler, "documentation", versions=versions, note=note)

        return [
            plain("/subscriptions", self._all, VERSIONS),
            plain(one, self._one, VERSIONS),
            plain("/tenants", self._tenants, VERSIONS),
            plain(one + "/locations", self._locations, VERSIONS),
            plain(one + "/resourceGroups", self._groups, GROUP_VERSIONS),
            plain(one + "/resourceGroups/{group}", self._group, GROUP_VERSIONS),
            arm("POST", WORKSPACE + "/listKeys", self._keys, note="new ones each time; nothing takes them"),
            arm("POST", WORKSPACE + "/listNotebookKeys", self._notebook_keys, note="nothing takes them"),
            arm("POST", WORKSPACE + "/listStorageAccountKeys", self._storage_keys, note="nothing takes it"),
            arm("POST", WORKSPACE + "/computes/{name}/listNodes", self._nodes, note="no node works between jobs"),
        ]

    def _described(self) -> dict[str, Any]:
        world = self._world
        return {
            "id": f"/subscriptions/{world.subscription}",
            "subscriptionId": world.subscription,
            "tenantId": world.tenant,
            "displayName": "Emulated",
            "state": "Enabled",
            "authorizationSource": "RoleBased",
            "managedByTenants": [],
            "subscriptionPolicies": {
                "locationPlacementId": "Public_2014-09-01",
                "quotaId": "PayAsYouGo_2014-09-01",
                "spendingLimit": "Off",
            },
        }

    def _all(self, _call: Call) -> Reply:
        return Reply({"value": [self._described()], "count": {"type": "Total", "value": 1}})

    def _one(self, _call: Call) -> Reply:
        return Reply(self._described())

    def _tenants(self, _call: Call) -> Reply:
        tenant = self._world.tenant
        domain = "emulated.onmicrosoft.com"
        found = {
            "id": f"/tenants/{tenant}",
            "tenantId": tenant,
            "displayName": "Emulated",
            "domains": [domain],
            "defaultDomain": domain,
            "tenantCategory": "Home",
            "tenantType": "AAD",
        }
        return Reply({"value": [found]})

    def _locations(self, _call: Call) -> Reply:
        region = self._world.region
        metadata = {"regionType": "Physical", "regionCategory": "Recommended"}
        found = {
            "id": f"/subscriptions/{self._world.subscription}/locations/{region}",
            "name": region,
            "type": "Region",
            "displayName": region,
            "regionalDisplayName": region,
            "metadata": metadata,
        }
        return Reply({"value": [found]})

    def _described_group(self) -> dict[str, Any]:
        world = self._world
        return {
            "id": f"/subscriptions/{world.subscription}/resourceGroups/{world.group}",
            "name": world.group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": world.region,
            "properties": {"provisioningState": "Succeeded"},
        }

    def _groups(self, _call: Call) -> Reply:
        return Reply({"value": [self._described_group()]})

    def _group(self, _call: Call) -> Reply:
        return Reply(self._described_group())

    def _keys(self, _call: Call) -> Reply:
        world = self._world
        account = f"/subscriptions/{world.subscription}/resourceGroups/{world.group}/providers/Microsoft.Storage"
        return Reply(
            {
                "userStorageKey": secrets.token_urlsafe(32),
                "userStorageResourceId": f"{account}/storageAccounts/{world.account}",
                "appInsightsInstrumentationKey": secrets.token_urlsafe(16),
                "containerRegistryCredentials": None,
                "notebookAccessKeys": None,
            }
        )

    def _notebook_keys(self, _call: Call) -> Reply:
        return Reply({"primaryAccessKey": secrets.token_urlsafe(32), "secondaryAccessKey": secrets.token_urlsafe(32)})

    def _storage_keys(self, _call: Call) -> Reply:
        return Reply({"userStorageKey": secrets.token_urlsafe(32)})

    def _nodes(self, call: Call) -> Reply:
        found = self._world.state.get("computes", call["name"].lower())
        if found is None:
            raise not_found("Compute", call["name"])
        if found["properties"].get("computeType") != "AmlCompute":
            raise WireError(400, "UserError", f"compute {call['name']} has no nodes to list")
        return Reply({"nodes": [], "nextLink": None})
