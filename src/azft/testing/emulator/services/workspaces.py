"""The workspace itself: its description, where its services are, its datastores and their secrets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.wire import ARM, DATA_PLANE, WORKSPACE, Call, Operation, Reply, arm, not_found
from azft.testing.emulator.world import ARTIFACTS, CONTAINER, STORE, World

SERVICES = ("api", "experimentation", "history", "mlflow", "hyperdrive", "pipelines")


class Workspaces:
    """One workspace; `store` is the kind of its default datastore."""

    def __init__(self, world: World, store: str = "AzureBlob") -> None:
        self._world = world
        self._kind = store

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        store = WORKSPACE + "/datastores/{name}"
        return [
            arm("GET", WORKSPACE, self._get),
            arm("GET", WORKSPACE.rpartition("/")[0], self._list, "REST specification"),
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
            arm("GET", WORKSPACE + "/datastores", self._stores),
            arm("GET", store, self._store),
            arm("POST", store + "/listSecrets", self._secrets, note="a shared access signature"),
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

    def _stores(self, call: Call) -> Reply:
        names = [STORE] if call.query.get("isDefault", "").lower() == "true" else [ARTIFACTS, STORE]
        return Reply({"value": [self._described_store(name) for name in names]})

    def _store(self, call: Call) -> Reply:
        if call["name"] not in {STORE, ARTIFACTS}:
            raise not_found("Datastore", call["name"])
        return Reply(self._described_store(call["name"]))

    def _described_store(self, name: str) -> dict[str, Any]:
        kind = self._kind if name == STORE else "AzureBlob"
        place = {"AzureDataLakeGen2": "filesystem", "AzureFile": "fileShareName"}.get(kind, "containerName")
        properties = {
            "datastoreType": kind,
            "accountName": self._world.account,
            place: CONTAINER,
            "endpoint": "core.windows.net",
            "protocol": "https",
            "isDefault": name == STORE,
            "description": None,
            "tags": {},
            "properties": {},
            "credentials": {"credentialsType": "Sas"},
            "serviceDataAccessAuthIdentity": "None",
        }
        return self._world.resource("datastores", name, properties, systemData=self._world.system_data(0))

    def _secrets(self, call: Call) -> Reply:
        self._store(call)
        return Reply({"secretsType": "Sas", "sasToken": self._world.blobs.sas(CONTAINER)})


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
