"""What all emulated services share: one workspace with its names, time, memory, storage and training machine."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import field, frozen

from azft.backends.local.backend import LocalBackend
from azft.testing.emulator.blobs import Blobs
from azft.testing.emulator.clock import Clock, iso
from azft.testing.emulator.operations import LongOperations
from azft.testing.emulator.state import State
from azft.testing.emulator.wire import WireError

CONTAINER = "azureml-blobstore-emulated"
STORE = "workspaceblobstore"
ARTIFACTS = "workspaceartifactstore"
OWN_STORES = frozenset({STORE, ARTIFACTS})
"""The datastores that a workspace is made with; both are one container here."""
DATASTORES = "datastores"
ELSEWHERE = ("https", "http", "wasbs", "wasb", "abfss", "adl")
"""Schemes of addresses that a data asset and a job's input may have (how-to-read-write-data-v2)."""
PROVIDED = "provided"
"""What stands for data at such addresses, by address."""
_STORE = re.compile(r"azureml://(?:[^?#]*/)?datastores/([^/]+)/paths/", re.IGNORECASE)
CODE = "code-"
"""What the containers of snapshots of code begin with, one for each: clients take their address for a container's."""


@frozen
class World:
    """The emulated workspace; `today` (ISO date) decides what is on offer."""

    subscription: str
    group: str
    workspace: str
    tenant: str
    region: str
    account: str
    today: str
    state: State
    blobs: Blobs
    local: LocalBackend
    clock: Clock = field(factory=Clock)
    operations: LongOperations = field(factory=LongOperations)

    @property
    def id(self) -> str:
        """The workspace's resource id."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.workspace}"
        )

    def elsewhere(self, parameters: Mapping[str, str]) -> WireError | None:
        """Return the refusal of a name that does not exist here, as Azure Resource Manager words it."""
        if "registry" in parameters or "location" in parameters:
            return None
        subscription, group, name = (parameters.get(part) for part in ("subscription", "group", "workspace"))
        if subscription is not None and subscription.lower() != self.subscription.lower():
            return WireError(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")
        if group is not None and group.lower() != self.group.lower():
            return WireError(404, "ResourceGroupNotFound", f"Resource group '{group}' could not be found.")
        if name is not None and group is not None and name.lower() != self.workspace.lower():
            said = f"The Resource 'Microsoft.MachineLearningServices/workspaces/{name}' under resource group '{group}'"
            return WireError(404, "ResourceNotFound", f"{said} was not found.")
        return None

    @property
    def host(self) -> str:
        """The host of the region's data plane."""
        return f"{self.region}.api.azureml.ms"

    def store_uri(self, path: str) -> str:
        """Return the long form of a path in the workspace's store."""
        return (
            f"azureml://subscriptions/{self.subscription}/resourcegroups/{self.group}/workspaces/{self.workspace}"
            f"/datastores/{STORE}/paths/{path}"
        )

    def blob_url(self, path: str) -> str:
        """Return an address that reads one blob."""
        return f"https://{self.account}.blob.core.windows.net/{CONTAINER}/{path}?{self.blobs.sas(CONTAINER)}"

    def resource(self, kind: str, name: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Return a resource below the workspace in the form Azure Resource Manager gives it; `kind` may be a path."""
        plain = "/".join(kind.split("/")[::2])
        return {
            "id": f"{self.id}/{kind}/{name}",
            "name": name,
            "type": f"Microsoft.MachineLearningServices/workspaces/{plain}",
            "properties": properties,
            **more,
        }

    def identity(self, given: Mapping[str, Any], name: str) -> dict[str, Any]:
        """Return an identity as the service fills it in: the system's own has a principal and a tenant."""
        if "systemassigned" not in str(given.get("type", "")).lower():
            return dict(given)
        principal = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self.id}/{name}"))
        return {**given, "principalId": principal, "tenantId": self.tenant}

    def system_data(self, created: float) -> dict[str, str]:
        """Return who made something and when."""
        at = iso(created)
        who = {"createdBy": "azft", "createdByType": "Application", "createdAt": at}
        return {**who, "lastModifiedBy": "azft", "lastModifiedByType": "Application", "lastModifiedAt": at}


def code_place(uri: str) -> str:
    """Return where a snapshot of code lies in storage, its container first; nothing for an address elsewhere.

    >>> code_place("https://a.blob.core.windows.net/code-1/src?sig=x")
    'code-1/src'
    """
    head, found, path = uri.partition(".blob.core.windows.net/")
    return path.partition("?")[0].rstrip("/") if found and head.startswith("https://") else ""


def is_elsewhere(uri: str) -> bool:
    """Whether an address leads to data that is not in the workspace's own store.

    >>> is_elsewhere("https://a.org/b.csv"), is_elsewhere("azureml://datastores/workspaceblobstore/paths/a")
    (True, False)
    """
    return uri.partition("://")[0].lower() in ELSEWHERE or store_of(uri) not in {"", *OWN_STORES}


def store_of(uri: str) -> str:
    """Return the datastore that an address leads to, nothing for another address.

    >>> store_of("azureml://subscriptions/s/workspaces/w/datastores/own/paths/a"), store_of("azureml://jobs/x/outputs/y")
    ('own', '')
    """
    found = _STORE.match(uri)
    return found[1] if found else ""


def path_of(uri: str) -> str:
    """Return the path inside the workspace's store that an `azureml://` address means, or nothing.

    >>> path_of("azureml://datastores/workspaceblobstore/paths/LocalUpload/a/train.jsonl")
    'LocalUpload/a/train.jsonl'
    """
    return uri.partition("/paths/")[2] if store_of(uri) in OWN_STORES else ""


def folder_for(root: Path, name: str) -> Path:
    """Return a folder of that name below `root`, made if it is missing."""
    folder = root / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder
