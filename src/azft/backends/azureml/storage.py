"""The workspace's storage: files go up by content, so none is sent twice, and folders come down."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any

from azft.backends.azureml.client import Clients
from azft.backends.azureml.errors import absent, translated
from azft.backends.azureml.saying import code_of, status_code
from azft.domain.data import DataFile
from azft.errors import BackendError, NotOursError, UnsupportedError
from azft.progress import Transfer, shown
from azft.rules.marks import SESSION, TOKEN
from azft.waiting import looked_for

FOLDER = "azft"
CHECKPOINTED = f"{FOLDER}/checkpoints"
"""Below it are the checkpoints of runs, each below its id."""
_HINT = "uploading needs the role 'Storage Blob Data Contributor' on the workspace's storage account"
_NO_KEYS = frozenset({"KeyBasedAuthenticationNotPermitted", "AuthorizationFailed"})
_FORBIDDEN = 403
AT_ONCE = 8
"""Files that are sent side by side."""
SPARE = 1 << 30
"""Bytes of the disk that a download leaves free."""


class Storage:
    """The workspace's default datastore, opened once: make one for each piece of work, as its secrets expire."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    @cached_property
    def _opened(self) -> tuple[str, Any]:
        """The store's name and its container; the secrets are asked for here and nowhere else."""
        with translated("the workspace's storage", hint=_HINT):
            store = self._store()
            return str(store.name), self._container(store)

    @property
    def name(self) -> str:
        """The name of the default store."""
        return self._opened[0]

    def download(self, prefix: str, folder: Path) -> Path:
        """Bring every blob below a prefix (or the one of that name) into a folder, and return the folder.

        Errors: `BackendError` before the first byte, if the disk has no room for all of them.
        """
        _, container = self._opened
        with translated(f"downloading {prefix}", hint=_HINT):
            blobs = list(container.list_blobs(name_starts_with=prefix))
            size = sum(int(blob.size or 0) for blob in blobs)
            _check_room(folder, size, prefix)
        with shown() as steps, translated(f"downloading {prefix}", hint=_HINT):
            transfer = Transfer(steps, f"downloading {PurePosixPath(prefix).name}", size)
            for blob in blobs:
                target = folder / (blob.name.removeprefix(prefix).lstrip("/") or PurePosixPath(prefix).name)
                if not target.resolve().is_relative_to(folder.resolve()):
                    continue  # A name is the service's word, and never leads out of the folder.
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as file:
                    container.download_blob(blob.name, progress_hook=transfer.hook()).readinto(file)
        return folder

    def size(self, prefix: str) -> int:
        """Return the bytes below a prefix."""
        _, container = self._opened
        with translated(f"looking for {prefix}", hint=_HINT):
            return sum(int(blob.size or 0) for blob in container.list_blobs(name_starts_with=prefix))

    def has(self, path: str) -> bool:
        """Whether there is a file of that name."""
        _, container = self._opened
        with translated(f"looking for {path}", hint=_HINT):
            return bool(container.get_blob_client(path).exists())

    def upload(self, *files: DataFile, tags: Mapping[str, str] | None = None) -> list[str]:
        """Send the files and return their addresses; one that is there already is not sent again."""
        _, container = self._opened
        marked = {_plain(name): value for name, value in (tags or {}).items() if name in {SESSION, TOKEN}}
        pieces = [piece for file in files for piece in _pieces(file)]
        with shown() as steps, ThreadPoolExecutor(max(min(len(pieces), AT_ONCE), 1)) as pool:
            transfer = Transfer(steps, "uploading the data", sum(path.stat().st_size for path, _target in pieces))
            list(pool.map(lambda piece: self._send(container, piece[0], piece[1], marked, transfer), pieces))
        return [self.address(file) for file in files]

    def address(self, file: DataFile) -> str:
        """Return the `azureml://` address that the file has once it is sent."""
        store, _ = self._opened
        return f"azureml://datastores/{store}/paths/{upload_path(file)}{'/' if file.path.is_dir() else ''}"

    def uploaded(self) -> list[tuple[str, str, float]]:
        """Return the path, the token and the time (seconds since 1970) of every file that azft sent here."""
        _, container = self._opened
        with translated("listing what was uploaded", hint=_HINT):
            return [
                (blob.name, blob.metadata[_plain(TOKEN)], blob.creation_time.timestamp() if blob.creation_time else 0.0)
                for blob in container.list_blobs(name_starts_with=f"{FOLDER}/", include=["metadata"])
                if (blob.metadata or {}).get(_plain(TOKEN))
            ]

    def remove(self, path: str, token: str) -> None:
        """Delete a file that was sent with that token; one that is gone is fine, one with another is not ours."""
        _, container = self._opened
        with translated(f"deleting {path}", hint=_HINT):
            found = looked_for(lambda: absent(container.get_blob_client(path).get_blob_properties))
            blobs = list(container.list_blobs(name_starts_with=f"{path}/", include=["metadata"]))
            every = {blob.name: blob.metadata for blob in blobs} | ({} if found is None else {path: found.metadata})
            ours = [name for name, metadata in every.items() if _is_ours(name, metadata, token)]
            for name in ours:
                absent(partial(container.delete_blob, name))
        if len(ours) < len(every):
            raise NotOursError(f"{path} was there before, so it is left")

    def checkpointed(self) -> set[str]:
        """Return the ids of the runs of which checkpoints are here."""
        _, container = self._opened
        with translated("listing checkpoints", hint=_HINT):
            names = [blob.name for blob in container.list_blobs(name_starts_with=f"{CHECKPOINTED}/")]
        return {name.removeprefix(f"{CHECKPOINTED}/").partition("/")[0] for name in names}

    def remove_below(self, prefix: str) -> None:
        """Delete the checkpoints of a run, which only its jobs write; those that are gone are fine."""
        if not prefix.startswith(f"{CHECKPOINTED}/") or prefix.endswith("/"):
            raise NotOursError(f"{prefix} holds no checkpoints of a run, so it is left")
        _, container = self._opened
        with translated(f"deleting {prefix}", hint=_HINT):
            for blob in list(container.list_blobs(name_starts_with=f"{prefix}/")):
                absent(partial(container.delete_blob, blob.name))

    def _store(self) -> Any:
        from azure.core.exceptions import HttpResponseError

        stores = self._clients.workspace.datastores
        try:
            return stores.get_default(include_secrets=True)
        except HttpResponseError as error:
            # Who may not read the keys may still have a role on the data itself.
            if status_code(error) != _FORBIDDEN:
                raise
            return stores.get_default()

    def _container(self, store: Any) -> Any:
        from azure.core.exceptions import HttpResponseError
        from azure.storage.blob import ContainerClient

        name = getattr(store, "container_name", None) or getattr(store, "filesystem", None)
        if not name or not getattr(store, "account_name", None):
            kind = getattr(store.type, "value", store.type)
            raise UnsupportedError(
                f"the workspace's default datastore {store.name!r} is of the kind {kind}, which takes no blobs",
                hint="make a blob or ADLS Gen2 datastore the default one",
            )
        account = f"{store.protocol or 'https'}://{store.account_name}.blob.{store.endpoint or 'core.windows.net'}"
        secrets = store.credentials
        key = getattr(secrets, "sas_token", None) or getattr(secrets, "account_key", None)
        if key:
            keyed = ContainerClient(account, name, credential=key)
            try:
                keyed.get_container_properties()
            except HttpResponseError as error:
                if code_of(error) not in _NO_KEYS:
                    return keyed  # What is to be done there says it better.
            else:
                return keyed
        return ContainerClient(account, name, credential=self._clients.credential)

    def _send(self, container: Any, path: Path, target: str, tags: Mapping[str, str], transfer: Transfer) -> None:
        from azure.core.exceptions import ResourceExistsError

        with translated(f"uploading {path.name}", hint=_HINT), path.open("rb") as content:
            try:
                # The address is the content's hash, and a blob appears only once it is whole.
                container.upload_blob(
                    target,
                    content,
                    length=path.stat().st_size,
                    overwrite=False,
                    metadata=dict(tags),
                    progress_hook=transfer.hook(),
                )
            except ResourceExistsError as error:
                if code_of(error) not in {"", "BlobAlreadyExists", "UnauthorizedBlobOverwrite"}:
                    raise  # A store that is under maintenance answers 409, too.


def _pieces(file: DataFile) -> list[tuple[Path, str]]:
    """Return the files to send and where each goes: one, or all of a folder."""
    base = upload_path(file)
    if not file.path.is_dir():
        return [(file.path, base)]
    found = sorted(path for path in file.path.rglob("*") if path.is_file())
    return [(path, f"{base}/{path.relative_to(file.path).as_posix()}") for path in found]


def _is_ours(path: str, metadata: Mapping[str, str] | None, token: str) -> bool:
    marked = (metadata or {}).get(_plain(TOKEN))
    return path.startswith(f"{FOLDER}/") and bool(marked) and marked == (token or marked)


def upload_path(file: DataFile) -> str:
    """Return where a file lies in the store: by its content."""
    return str(PurePosixPath(FOLDER, file.sha256, file.path.name))


def _plain(name: str) -> str:
    """Return a tag's name as the metadata of a blob takes it: letters, digits and '_'."""
    return name.replace(".", "_")


def _check_room(folder: Path, size: int, what: str) -> None:
    there = next(place for place in (folder, *folder.parents) if place.exists())
    free = shutil.disk_usage(there).free
    if size + SPARE > free:
        raise BackendError(
            f"{what} has {size / 2**30:,.1f} GiB, and {there} has {free / 2**30:,.1f} GiB free",
            hint="free some of the disk, or set TMPDIR to a larger one",
        )
