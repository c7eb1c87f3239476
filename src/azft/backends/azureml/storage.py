"""The workspace's storage: files go up by content, so none is sent twice, and folders come down."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import translated
from azft.domain.data import DataFile

FOLDER = "azft"
_HINT = "uploading needs the role 'Storage Blob Data Contributor' on the workspace's storage account"


class Storage:
    """The workspace's default datastore, opened once: make one for each piece of work, as its secrets expire."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @cached_property
    def _opened(self) -> tuple[str, Any]:
        """The store's name and its container; the secrets are asked for here and nowhere else."""
        with translated("the workspace's storage", hint=_HINT):
            store = self._clients.workspace.datastores.get_default(include_secrets=True)
            return str(store.name), _container(store, self._clients.credential)

    def download(self, prefix: str, folder: Path) -> Path:
        """Bring every blob below a prefix (or the one of that name) into a folder, and return the folder."""
        _, container = self._opened
        with translated(f"downloading {prefix}", hint=_HINT):
            for blob in container.list_blobs(name_starts_with=prefix):
                target = folder / (blob.name.removeprefix(prefix).lstrip("/") or PurePosixPath(prefix).name)
                if not target.resolve().is_relative_to(folder.resolve()):
                    continue  # A name is the service's word, and never leads out of the folder.
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    container.download_blob(blob.name).readinto(file)
        return folder

    def upload(self, *files: DataFile) -> list[str]:
        """Send the files and return their `azureml://` addresses; one that is there already is not sent again."""
        store, container = self._opened
        with ThreadPoolExecutor(max(len(files), 1)) as pool:
            return list(pool.map(lambda file: self._send(container, store, file), files))

    def _send(self, container: Any, store: str, file: DataFile) -> str:
        from azure.core.exceptions import ResourceExistsError

        path = PurePosixPath(FOLDER, file.sha256, file.path.name)
        # The address is the content's hash, and a blob appears only once it is whole: one that is there is ours.
        there = suppress(ResourceExistsError)
        with translated(f"uploading {file.path.name}", hint=_HINT), there, file.path.open("rb") as content:
            container.upload_blob(str(path), content, length=file.path.stat().st_size, overwrite=False)
        return f"azureml://datastores/{store}/paths/{path}"


def _container(store: Any, credential: Any) -> Any:
    from azure.storage.blob import ContainerClient

    account = f"{store.protocol or 'https'}://{store.account_name}.blob.{store.endpoint or 'core.windows.net'}"
    secrets = store.credentials
    key = getattr(secrets, "sas_token", None) or getattr(secrets, "account_key", None) or credential
    return ContainerClient(account, store.container_name, credential=key)
