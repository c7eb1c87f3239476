"""Snapshots of code: found again by their hash, uploaded once."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

from azft.testing.emulator.commands.jobs import CODES
from azft.testing.emulator.services.versions import check_name
from azft.testing.emulator.shapes import body_of
from azft.testing.emulator.state import Document
from azft.testing.emulator.wire import WORKSPACE, Call, Operation, Reply, arm, bad_request, not_found, page
from azft.testing.emulator.world import CODE, World, code_place


class Codes:
    """The code assets of the workspace."""

    def __init__(self, world: World) -> None:
        self._world = world

    def operations(self) -> Sequence[Operation]:
        """Return the operations."""
        versions = WORKSPACE + "/codes/{name}/versions"
        one = versions + "/{version}"
        return [
            arm("GET", versions, self._list, note="hash and hashVersion find a snapshot that is there"),
            arm("GET", one, self._get),
            arm("PUT", one, self._put),
            arm("POST", one + "/startPendingUpload", self._upload, note="a place to upload to, with a signature"),
        ]

    def _list(self, call: Call) -> Reply:
        wanted = call.query.get("hash", "")
        found = [
            document
            for document in self._world.state.all(CODES)
            if (document["properties"].get("properties") or {}).get("hash_sha256") == wanted or not wanted
        ]
        return page(found, call)

    def _get(self, call: Call) -> Reply:
        found = self._world.state.get(CODES, f"{call['name']}:{call['version']}")
        if found is None:
            raise not_found("Code", f"{call['name']}:{call['version']}")
        return Reply(found)

    def _put(self, call: Call) -> Reply:
        name, version = call["name"], call["version"]
        properties = body_of(call.body)["properties"]
        uri = str(properties.get("codeUri") or "")
        check_name("code", name, version)
        container, _, path = code_place(uri).partition("/")
        if not container or not self._world.blobs.names(container, path):
            raise bad_request(f"codeUri {uri or 'none'}: nothing was uploaded there")
        known = self._world.state.get(CODES, f"{name}:{version}")
        if known is not None and known["properties"]["codeUri"] != uri:
            raise bad_request(f"code {name}:{version} exists and points elsewhere", "ImmutableProperty")
        document: Document = self._world.resource(
            f"codes/{name}/versions",
            version,
            {**properties, "provisioningState": "Succeeded"},
            systemData=self._world.system_data(self._world.clock.now()),
        )
        self._world.state.put(CODES, f"{name}:{version}", document)
        return Reply(document, 200 if known else 201)

    def _upload(self, call: Call) -> Reply:
        world = self._world
        container = f"{CODE}{uuid.uuid4().hex}"
        place = f"https://{world.account}.blob.core.windows.net/{container}"
        credential: dict[str, Any] = {"credentialType": "SAS", "sasUri": f"{place}?{world.blobs.sas(container)}"}
        return Reply(
            {
                "pendingUploadId": uuid.uuid4().hex,
                "pendingUploadType": "TemporaryBlobReference",
                "blobReferenceForConsumption": {
                    "blobUri": place,
                    "storageAccountArmId": f"/subscriptions/{world.subscription}/resourceGroups/{world.group}"
                    f"/providers/Microsoft.Storage/storageAccounts/{world.account}",
                    "credential": credential,
                },
            }
        )
