"""Who we are and which workspace is meant, found before anything else is asked."""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attrs import frozen

from azft.errors import AuthenticationError, ConfigurationError

REMEMBERED = 5.0
"""Seconds for which a failed sign-in is not tried again."""
MANAGEMENT = "https://management.azure.com/.default"
_ENVIRONMENT = {
    "subscription_id": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace": "AZUREML_WORKSPACE_NAME",
}
_CONFIG_KEYS = {"subscription_id": "subscription_id", "resource_group": "resource_group", "workspace": "workspace_name"}
_LINK = re.compile(r"^\s*(\w+Credential): (.+?)(?=^\s*\w+Credential: |\Z|^To mitigate)", re.MULTILINE | re.DOTALL)


@frozen
class WorkspaceName:
    """Which workspace, and where each part of its name was found."""

    subscription_id: str
    resource_group: str
    workspace: str
    source: str

    def __str__(self) -> str:
        return f"{self.workspace} in {self.resource_group} ({self.source})"


def find_workspace(
    given: Mapping[str, str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> WorkspaceName:
    """Return the workspace: each part from the arguments, else the environment, else `config.json`.

    `config.json` is looked for in `folder` (the working directory) and its parents, also below `.azureml`.

    >>> find_workspace({"subscription_id": "s", "resource_group": "g", "workspace": "w"}, {}, Path("/")).source
    'the arguments'
    """
    variables = os.environ if environment is None else environment
    path = _config_file((folder or Path.cwd()).absolute())
    written = _read_config(path) if path else {}
    found: dict[str, str] = {}
    sources: list[str] = []
    for part, variable in _ENVIRONMENT.items():
        for source, value in (
            ("the arguments", given.get(part)),
            ("the environment", variables.get(variable)),
            (str(path), written.get(_CONFIG_KEYS[part])),
        ):
            if value:
                found[part] = str(value)
                sources.append(source)
                break
    missing = [part for part in _ENVIRONMENT if part not in found]
    if missing:
        raise ConfigurationError(
            f"no {' and no '.join(missing)} of the Azure ML workspace",
            hint="azft.connect('azureml', subscription_id=, resource_group=, workspace=), or the environment variables "
            f"{', '.join(_ENVIRONMENT.values())}, or the config.json that the Azure portal gives for download",
        )
    return WorkspaceName(**found, source=", ".join(dict.fromkeys(sources)))


def sign_in(*, interactive: bool = False) -> Any:
    """Return a credential that has proved itself with a token; the browser opens only if `interactive`."""
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    credential = DefaultAzureCredential(exclude_interactive_browser_credential=not interactive)
    try:
        credential.get_token(MANAGEMENT)
    except ClientAuthenticationError as error:
        links = links_tried(str(error))
        raise AuthenticationError(
            "nobody is signed in to Azure. Tried:\n" + "\n".join(f"  - {name}: {why}" for name, why in links),
            hint="run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give "
            "interactive=True to sign in with the browser",
        ) from None
    return credential


class Credential:
    """Signs in when the first token is wanted, so that a plan can list a failure among everything else.

    A failure is told again to whoever asks within a few seconds, rather than tried again by each of several threads.
    """

    def __init__(self, *, interactive: bool = False) -> None:
        self._interactive = interactive
        self._signed_in: Any = None
        self._failure: tuple[float, AuthenticationError] | None = None
        self._lock = threading.Lock()

    def get_token(self, *scopes: str, **options: Any) -> Any:
        """Return a token; `AuthenticationError` names every way that was tried."""
        with self._lock:
            if self._failure is not None and time.monotonic() - self._failure[0] < REMEMBERED:
                raise self._failure[1]
            if self._signed_in is None:
                try:
                    self._signed_in = sign_in(interactive=self._interactive)
                except AuthenticationError as error:
                    self._failure = (time.monotonic(), error)
                    raise
        return self._signed_in.get_token(*scopes, **options)


def links_tried(message: str) -> list[tuple[str, str]]:
    r"""Return the links of the credential chain and why each failed, from azure-identity's message.

    >>> links_tried("DefaultAzureCredential failed\nAttempted credentials:\n\tAzureCliCredential: Azure CLI not found")
    [('AzureCliCredential', 'Azure CLI not found')]
    """
    _, found, tried = message.partition("Attempted credentials:")
    links = [(link[1], " ".join(link[2].split())) for link in _LINK.finditer(tried if found else "")]
    return links or [("DefaultAzureCredential", " ".join(message.split()))]


def _config_file(folder: Path) -> Path | None:
    for place in (folder, *folder.parents):
        for path in (place / "config.json", place / ".azureml" / "config.json"):
            if path.is_file():
                return path
    return None


def _read_config(path: Path) -> Mapping[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not JSON: {error}", hint="download it again from the portal") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no JSON object", hint="download it again from the portal")
    return {key: value for key, value in found.items() if isinstance(value, str)}
