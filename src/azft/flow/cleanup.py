"""Step 9: leave nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from azft.domain.resource import CleanupReport, Resource
from azft.errors import AzftError, NotFoundError
from azft.ledger import Entry, Ledger
from azft.ports import Disposer
from azft.processes import is_alive


class ResourceCleaner:
    """Deletes what the ledger lists, newest first; a failure is collected and the rest still goes."""

    def __init__(self, backend: Disposer, ledger: Ledger, *, name: str, data_folder: Path) -> None:
        self._backend = backend
        self._ledger = ledger
        self._name = name
        self._data_folder = data_folder

    def clean(self, *, everything: bool = False) -> CleanupReport:
        """Delete what this session made but for its registered models, and endpoints whose process is gone.

        `everything` deletes all that stands in the ledger, registered models and other sessions' work included.
        """
        deleted: list[Resource] = []
        kept: list[tuple[Resource, str]] = []
        failed: list[tuple[Resource, str]] = []
        for entry in reversed(self._ledger.standing()):
            resource = entry.resource
            reason = "" if everything else self._why_kept(entry)
            if resource.backend != self._name:
                reason = f"it belongs to the backend {resource.backend!r}"
            if reason:
                kept.append((resource, reason))
                continue
            try:
                self._delete(resource)
            except (AzftError, OSError) as error:
                failed.append((resource, str(error)))
            else:
                self._ledger.gone(resource)
                deleted.append(resource)
        return CleanupReport(tuple(deleted), tuple(kept), tuple(failed))

    def _why_kept(self, entry: Entry) -> str:
        ours = entry.session == self._ledger.session
        if entry.resource.kind == "model":
            return "it is the result; cleanup(everything=True) deletes it too"
        if ours or (entry.resource.kind in {"endpoint", "compute"} and not is_alive(entry.pid)):
            return ""
        return "another session made it; cleanup(everything=True) deletes it too"

    def _delete(self, resource: Resource) -> None:
        if resource.kind == "data":
            folder = self._data_folder / Path(resource.name).name
            if folder.is_dir():
                shutil.rmtree(folder)
            return
        try:
            self._backend.delete(resource)
        except NotFoundError:
            return
