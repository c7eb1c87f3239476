"""Step 9: leave nothing behind."""

from __future__ import annotations

import shutil
from pathlib import Path

from azft.domain.resource import CleanupReport, Resource
from azft.errors import AzftError, ConfigurationError, InUseError, NotFoundError, NotOursError
from azft.ledger import Entry, Ledger
from azft.ports import Backend
from azft.waiting import looked_for

_COSTLY = frozenset({"endpoint", "deployment", "compute", "upload"})
"""Kinds that nobody comes back to when the session that made them is gone."""


class ResourceCleaner:
    """Deletes what the ledger lists, newest first; a failure is collected and the rest still goes."""

    def __init__(self, backend: Backend, ledger: Ledger, *, name: str, data_folder: Path) -> None:
        self._backend = backend
        self._ledger = ledger
        self._name = name
        self._data_folder = data_folder

    def clean(self, *, everything: bool = False, stop_runs: bool = False) -> CleanupReport:
        """Delete what this session made but for its registered models, and what dead sessions left that costs money.

        A run that has not ended is kept unless `stop_runs`. `everything` deletes all that stands in the ledger,
        registered models and other sessions' work included.
        """
        deleted: list[Resource] = []
        kept: list[tuple[Resource, str]] = []
        failed: list[tuple[Resource, str]] = []
        for entry in reversed(self._ledger.standing()):
            resource = entry.resource
            try:
                reason = self._why_kept(entry, everything=everything, stop_runs=stop_runs)
                there = not reason and self._delete(resource)
            except NotOursError as error:
                self._ledger.gone(resource)
                # What was only intended was not made by that intent, and so is nobody's news.
                if entry.what == "made":
                    kept.append((resource, error.message))
            except InUseError as error:
                kept.append((resource, error.message))
            except (AzftError, OSError) as error:
                failed.append((resource, str(error)))
            else:
                if reason:
                    kept.append((resource, reason))
                    continue
                self._ledger.gone(resource)
                if there or entry.what == "made":
                    deleted.append(resource)
        return CleanupReport(tuple(deleted), tuple(kept), tuple(failed), self._ledger.unreadable())

    def _why_kept(self, entry: Entry, *, everything: bool, stop_runs: bool) -> str:
        resource = entry.resource
        if resource.backend != self._name:
            return f"it belongs to the backend {resource.backend!r}"
        if not everything:
            ours = entry.session == self._ledger.session
            unfinished = entry.what == "intend" and not ours and not entry.orphaned
            if unfinished:
                return "another session is making it"
            if resource.kind == "model" and entry.what == "made":
                return "it is the result; cleanup(everything=True) deletes it too"
            if not (ours or (entry.orphaned and (resource.kind in _COSTLY or entry.what == "intend"))):
                return "another session made it; cleanup(everything=True) deletes it too"
        if resource.kind == "run" and not stop_runs:
            # One 404 must not stop a run that goes on.
            state = looked_for(lambda: self._backend.state(resource.name))
            if state is not None and not state.status.ended:
                return f"it is {state.status}; cleanup(stop_runs=True) stops it"
        return ""

    def _delete(self, resource: Resource) -> bool:
        """Delete it, and return whether it was there."""
        if resource.kind == "data":
            folder = _inside(self._data_folder, resource.name)
            there = folder.is_dir()
            if there:
                shutil.rmtree(folder)
            return there
        try:
            self._backend.delete(resource)
        except NotFoundError:
            return False
        return True


def _inside(parent: Path, name: str) -> Path:
    """Return the folder of that name; a name that leads anywhere else is refused, whoever wrote it down."""
    folder = parent / name
    if not name or "\0" in name or folder.resolve().parent != parent.resolve() or folder.name != name:
        raise ConfigurationError(f"{name!r} names no folder in {parent}", hint="take the line out of the ledger")
    return folder
