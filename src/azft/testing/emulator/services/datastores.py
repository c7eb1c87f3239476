"""Datastores: the two that a workspace is made with, and others by name, whose data a test provides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.services.versions import is_name
from azft.testing.emulator.shapes import body_of, check_tags, word
from azft.testing.emulator.wire import WORKSPACE, Call, Operation, Reply, arm, bad_request, not_found, page
from azft.testing.emulator.world import ARTIFACTS, CONTAINER, DATASTORES, OWN_STORES, STORE, World

TYPES = ("AzureBlob", "AzureDataLakeGen1", "AzureDataLakeGen2", "AzureFile", "Hdfs", "OneLake")
CREDENTIALS = ("AccountKey", "Certificate", "None", "Sas", "ServicePrincipal", "KerberosKeytab", "KerberosPassword")


class Datastores:
    """The datastores of the workspace; `kind` is that of its default one. Secrets are kept in memory alone."""

    def __init__(self, world: World, kind: str = "AzureBlob") -> None:
        self._world = world
        self._kind = kind
        self._given: dict[str, dict[str, Any]] = {}

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        base = WORKSPACE + "/datastores"
        one = base + "/{name}"
        note = "nothing is connected: what lies there a test provides"
        return [
            arm("GET", base, self._list),
            arm("GET", one, self._get),
            arm("PUT", one, self._put, note=note),
            arm("DELETE", one, self._delete, note="not those that the workspace was made with (inferred)"),
            arm("POST", one + "/listSecrets", self._secrets, note="a shared access signature, or what was given"),
        ]

    def _list(self, call: Call) -> Reply:
        default = call.query.get("isDefault", "").lower()
        own = [self._own(name) for name in (ARTIFACTS, STORE)]
        found = [*own, *self._world.state.all(DATASTORES)]
        return page([one for one in found if default in {"", str(one["properties"]["isDefault"]).lower()}], call)

    def _find(self, name: str) -> dict[str, Any]:
        found = self._own(name) if name in OWN_STORES else self._world.state.get(DATASTORES, name)
        if found is None:
            raise not_found("Datastore", name)
        return found

    def _get(self, call: Call) -> Reply:
        return Reply(self._find(call["name"]))

    def _put(self, call: Call) -> Reply:
        name, properties = call["name"], dict(body_of(call.body)["properties"])
        if name in OWN_STORES or not is_name(name):
            raise bad_request(f"datastore {name!r}: a name of letters, digits, '_' and '-' that the workspace has not")
        word(properties, "datastoreType", TYPES, needed=True)
        check_tags(properties.get("tags") or {})
        credentials = properties.get("credentials")
        kind = word(credentials if isinstance(credentials, dict) else {}, "credentialsType", CREDENTIALS, needed=True)
        self._given[name] = {"secretsType": kind, **((credentials or {}).get("secrets") or {})}
        properties["credentials"] = {key: value for key, value in (credentials or {}).items() if key != "secrets"}
        known = self._world.state.get(DATASTORES, name)
        made = known["systemData"] if known else self._world.system_data(self._world.clock.now())
        document = self._world.resource(DATASTORES, name, {**properties, "isDefault": False}, systemData=made)
        self._world.state.put(DATASTORES, name, document)
        return Reply(document, 200 if known else 201)

    def _delete(self, call: Call) -> Reply:
        if call["name"] in OWN_STORES:
            raise bad_request(f"datastore {call['name']} belongs to the workspace")
        self._given.pop(call["name"], None)
        return Reply(None, 200 if self._world.state.delete(DATASTORES, call["name"]) else 204)

    def _secrets(self, call: Call) -> Reply:
        name = self._find(call["name"])["name"]
        if name in OWN_STORES:
            return Reply({"secretsType": "Sas", "sasToken": self._world.blobs.sas(CONTAINER)})
        given = self._given.get(name, {"secretsType": "None"})
        if given["secretsType"] == "None":
            raise bad_request(f"datastore {name} has no secrets")
        return Reply(given)

    def _own(self, name: str) -> dict[str, Any]:
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
        return self._world.resource(DATASTORES, name, properties, systemData=self._world.system_data(0))
