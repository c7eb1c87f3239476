"""The workspace itself: its description, and where its services are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.wire import ARM, DATA_PLANE, WORKSPACE, Call, Operation, Reply, arm
from azft.testing.emulator.world import World

OF_SUBSCRIPTION = "/subscriptions/{subscription}/providers/Microsoft.MachineLearningServices/workspaces"
SERVICES = ("api", "experimentation", "history", "mlflow", "hyperdrive", "pipelines")


class Workspaces:
    """One workspace."""

    def __init__(self, world: World) -> None:
        self._world = world

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        return [
            arm("GET", WORKSPACE, self._get),
            arm("GET", WORKSPACE.rpartition("/")[0], self._list, "REST specification"),
            arm("GET", OF_SUBSCRIPTION, self._list, "REST specification"),
            Operation(
                "GET",
                DATA_PLANE,
                "/discovery/workspaces/{workspace}",
                self._discover,
                "SDK source",
                note="the SDK asks without a token",
                open=True,
            ),
            Operation(
                "GET", ARM, "/metadata/endpoints", _clouds, "documentation", note="asked by MLflow's plugin", open=True
            ),
        ]

    def _get(self, call: Call) -> Reply:
        return Reply(self._described())

    def _list(self, call: Call) -> Reply:
        return Reply({"value": [self._described()]})

    def _described(self) -> dict[str, Any]:
        world = self._world
        return {
            "id": world.id,
            "name": world.workspace,
            "type": "Microsoft.MachineLearningServices/workspaces",
            "location": world.region,
            "kind": "Default",
            "tags": {},
            "identity": {"type": "SystemAssigned", "tenantId": world.tenant},
            "properties": {
                "friendlyName": world.workspace,
                "description": "",
                "workspaceId": world.tenant,
                "storageAccount": f"/subscriptions/{world.subscription}/resourceGroups/{world.group}"
                f"/providers/Microsoft.Storage/storageAccounts/{world.account}",
                "discoveryUrl": f"https://{world.host}/discovery/workspaces/{world.workspace}",
                "mlFlowTrackingUri": f"azureml://{world.host}/mlflow/v1.0{world.id}",
                "hbiWorkspace": False,
                "provisioningState": "Succeeded",
                "publicNetworkAccess": "Enabled",
                "tenantId": world.tenant,
            },
            "systemData": world.system_data(0),
        }

    def _discover(self, call: Call) -> Reply:
        return Reply(dict.fromkeys(SERVICES, f"https://{self._world.host}"))


def _clouds(_call: Call) -> Reply:
    """Return where the services of the public cloud are (Azure Resource Manager, api-version 2019-05-01)."""
    login = {
        "loginEndpoint": "https://login.microsoftonline.com/",
        "audiences": ["https://management.core.windows.net/", "https://management.azure.com/"],
        "tenant": "common",
        "identityProvider": "AAD",
    }
    suffixes = {
        "acrLoginServer": "azurecr.io",
        "keyVaultDns": "vault.azure.net",
        "sqlServerHostname": "database.windows.net",
        "storage": "core.windows.net",
    }
    public = {
        "name": "AzureCloud",
        "portal": "https://portal.azure.com",
        "authentication": login,
        "graph": "https://graph.windows.net/",
        "graphAudience": "https://graph.windows.net/",
        "batch": "https://batch.core.windows.net/",
        "resourceManager": "https://management.azure.com/",
        "suffixes": suffixes,
    }
    return Reply([public])
