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

from azft.backends.azureml.internals import current_cloud
from azft.backends.azureml.saying import without_secrets
from azft.errors import AuthenticationError, ConfigurationError

REMEMBERED = 5.0
"""Seconds for which a failed sign-in is not tried again."""
_ENVIRONMENT = {
    "subscription_id": "AZURE_SUBSCRIPTION_ID",
    "resource_group": "AZURE_RESOURCE_GROUP",
    "workspace": "AZUREML_WORKSPACE_NAME",
}
_CONFIG_KEYS = {"subscription_id": "subscription_id", "resource_group": "resource_group", "workspace": "workspace_name"}
_PLACEHOLDER = re.compile(r"<.*>|\{\{.*\}\}|\$\{.*\}|YOUR[-_ ].*", re.IGNORECASE)
_LINK = re.compile(r"^\s*(\w+Credential): (.+?)(?=^\s*\w+Credential: |\Z|^To mitigate)", re.MULTILINE | re.DOTALL)


@frozen
class WorkspaceName:
    """Which workspace, and where its name was found."""

    subscription_id: str
    resource_group: str
    workspace: str
    source: str

    def __str__(self) -> str:
        return f"{self.workspace} in {self.resource_group} ({self.source})"


def find_workspace(
    given: Mapping[str, str], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> WorkspaceName:
    """Return the workspace from the arguments, else the environment, else `config.json`.

    `config.json` is looked for in `folder` (the working directory) and its parents, also below `.azureml`; one that
    says nothing of a workspace, such as a model's, is passed over.
    Arguments win part by part; all other parts come from one place, so that no two workspaces are ever mixed.

    >>> find_workspace({"subscription_id": "s", "resource_group": "g", "workspace": "w"}, {}, Path("/")).source
    'the arguments'
    """
    variables = os.environ if environment is None else environment
    named = {part: str(value) for part, value in given.items() if value}
    wanted = [part for part in _ENVIRONMENT if part not in named]
    known = {part: variables[variable] for part, variable in _ENVIRONMENT.items() if variables.get(variable)}
    path, written = _config((folder or Path.cwd()).absolute())
    places = {"the environment": known, str(path): written}
    place = next((name for name, found in places.items() if all(part in found for part in wanted)), "")
    if wanted and not place:
        seen = {part for found in places.values() for part in found}
        missing = [part for part in wanted if part not in seen] or wanted
        partly = "" if not seen else "; what there is lies in several places, and is not mixed"
        raise ConfigurationError(
            f"no {' and no '.join(missing)} of the Azure ML workspace{partly if missing == wanted else ''}",
            hint="azft.connect('azureml', subscription_id=, resource_group=, workspace=), or the environment variables "
            f"{', '.join(_ENVIRONMENT.values())}, or the config.json that the Azure portal gives for download",
        )
    found = {**named, **{part: places[place][part] for part in wanted}}
    for part, value in found.items():
        if _PLACEHOLDER.fullmatch(value.strip()):
            where = place if part in wanted else "the arguments"
            raise ConfigurationError(f"{part} is {value!r} in {where}: a placeholder", hint="write the real name there")
    sources = [name for name, used in ((place, wanted), ("the arguments", named)) if used]
    alone = [_ENVIRONMENT[part] for part in known if part in wanted and place != "the environment"]
    unused = f"; {', '.join(alone)} of the environment not used" if alone else ""
    return WorkspaceName(**found, source=", ".join(sources) + unused)


def sign_in(*, interactive: bool = False) -> Any:
    """Return a credential that has proved itself with a token; the browser opens only if `interactive`.

    Errors: `AuthenticationError` with every way that was tried, `ConfigurationError` for settings that are no such.
    """
    from azure.core.exceptions import ClientAuthenticationError
    from azure.identity import DefaultAzureCredential

    hint = "check AZURE_TENANT_ID, AZURE_TOKEN_CREDENTIALS, AZURE_CLIENT_CERTIFICATE_PATH and AZURE_AUTHORITY_HOST"
    try:
        cloud = current_cloud()
        where = {} if os.environ.get("AZURE_AUTHORITY_HOST") else {"authority": cloud.authority}
        credential = DefaultAzureCredential(exclude_interactive_browser_credential=not interactive, **where)
        credential.get_token(cloud.management)
    except ClientAuthenticationError as error:
        links = links_tried(str(error))
        said = "\n".join(f"  - {name}: {without_secrets(why)}" for name, why in links)
        raise AuthenticationError(
            f"nobody is signed in to Azure. Tried:\n{said}",
            hint="run 'az login', or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET, or give "
            "interactive=True to sign in with the browser",
        ) from None
    except (ValueError, OSError) as error:
        said = without_secrets(str(error))
        raise ConfigurationError(f"the settings of the sign-in cannot be used: {said}", hint=hint) from None
    except Exception as error:  # whatever a helper of the chain raises
        said = f"{type(error).__name__}: {without_secrets(str(error))}"
        raise AuthenticationError(f"signing in failed: {said}", hint=hint) from error
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
            signed_in = self._signed_in
        return signed_in.get_token(*scopes, **options)

    def renew(self) -> None:
        """Forget the sign-in, so that the next token is a new one."""
        with self._lock:
            self._signed_in = None


def links_tried(message: str) -> list[tuple[str, str]]:
    r"""Return the links of the credential chain and why each failed, from azure-identity's message.

    >>> links_tried("DefaultAzureCredential failed\nAttempted credentials:\n\tAzureCliCredential: Azure CLI not found")
    [('AzureCliCredential', 'Azure CLI not found')]
    """
    _, found, tried = message.partition("Attempted credentials:")
    links = [(link[1], " ".join(link[2].split())) for link in _LINK.finditer(tried if found else "")]
    return links or [("DefaultAzureCredential", " ".join(message.split()))]


def _config(folder: Path) -> tuple[Path, Mapping[str, str]]:
    """Return the next file that names a workspace, and the parts that it names."""
    for place in (folder, *folder.parents):
        for path in (place / "config.json", place / ".azureml" / "config.json"):
            if not path.is_file():
                continue
            written = _read_config(path)
            found = {part: written[key] for part, key in _CONFIG_KEYS.items() if written.get(key)}
            if found:
                return path, found
    return folder / "config.json", {}


def _read_config(path: Path) -> Mapping[str, str]:
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not JSON: {error}", hint="download it again from the portal") from None
    if not isinstance(found, dict):
        raise ConfigurationError(f"{path} holds no JSON object", hint="download it again from the portal")
    return {key: value for key, value in found.items() if isinstance(value, str)}
