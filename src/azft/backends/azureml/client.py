"""The SDK's clients: one for the workspace, one for each registry, each made when it is first needed."""

from __future__ import annotations

import importlib
import logging
import threading
from typing import Any

from azft.backends.azureml.errors import translated
from azft.backends.azureml.internals import remember_workspace
from azft.backends.azureml.pages import refusing_pages
from azft.backends.azureml.signin import WorkspaceName

_CHATTY = "azure.ai.ml._utils._experimental"
"""It warns about classes of the SDK itself that nobody here chose."""


class Clients:
    """Clients that share one credential and send no telemetry."""

    def __init__(self, credential: Any, name: WorkspaceName) -> None:
        # Here and once: threads that import the SDK at the same time find it half imported.
        importlib.import_module("azure.ai.ml")
        self.credential = credential
        self.name = name
        self._registries: dict[str, Any] = {}
        self._workspace: Any = None
        self._described: Any = None
        self._lock = threading.RLock()

    @property
    def workspace(self) -> Any:
        """The `MLClient` of the workspace."""
        from azure.ai.ml import MLClient

        logging.getLogger(_CHATTY).setLevel(logging.ERROR)
        with self._lock:
            if self._workspace is None:
                name = self.name
                self._workspace = MLClient(
                    self.credential, name.subscription_id, name.resource_group, name.workspace, **_how()
                )
                remember_workspace(self._workspace)
            return self._workspace

    def registry(self, name: str) -> Any:
        """Return the `MLClient` of a registry; `NotFoundError` if there is none of that name."""
        from azure.ai.ml import MLClient

        with self._lock, translated(f"registry {name!r}", hint="the registry of most models is 'azureml'"):
            if name not in self._registries:
                self._registries[name] = MLClient(self.credential, registry_name=name, **_how())
            return self._registries[name]

    def renew(self) -> None:
        """Sign in anew, and forget every client: each keeps a token of its own until that has run out."""
        with self._lock:
            self._workspace = None
            self._registries.clear()
            forget = getattr(self.credential, "renew", None)
            if forget is not None:
                forget()

    @property
    def described(self) -> Any:
        """What the service says about the workspace: its region, and where its MLflow is."""
        with self._lock, translated(f"workspace {self.name}"):
            if self._described is None:
                self._described = self.workspace.workspaces.get(self.name.workspace)
            return self._described

    @property
    def region(self) -> str:
        """The workspace's region, such as "eastus"."""
        return str(self.described.location)

    @property
    def studio(self) -> str:
        """What the studio wants to know of a workspace in the address of a page of its."""
        name = self.name
        group = f"/subscriptions/{name.subscription_id}/resourcegroups/{name.resource_group}"
        return f"wsid={group}/workspaces/{name.workspace}"

    def __repr__(self) -> str:
        return f"Clients({self.name})"


def _how() -> dict[str, Any]:
    return {"enable_telemetry": False, "show_progress": False, "per_call_policies": [refusing_pages()]}


def word(value: Any) -> str:
    """Return the service's word, which the SDK gives as text or as an enum."""
    return str(getattr(value, "value", value))
