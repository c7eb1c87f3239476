"""The states of jobs: the service's words, and what they mean here.

Words: azure-ai-ml 1.35 `JobStatus` (all stable versions of the REST API from 2022-05-01 on), and the span states of run
history.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azft.backends.azureml.client import word
from azft.domain.run import RunStatus

STATUSES: Mapping[str, RunStatus] = {
    "Completed": RunStatus.COMPLETED,
    "Finished": RunStatus.COMPLETED,
    "Failed": RunStatus.FAILED,
    "Canceled": RunStatus.CANCELED,
    "Running": RunStatus.RUNNING,
    "Finalizing": RunStatus.RUNNING,
    "CancelRequested": RunStatus.RUNNING,
    "NotResponding": RunStatus.RUNNING,
    "Paused": RunStatus.RUNNING,
    "Pausing": RunStatus.RUNNING,
}
"""All others (NotStarted, Starting, Provisioning, Preparing, Queued, Scheduled, Unapproved, Unknown) are waiting."""
NOT_RESPONDING = "NotResponding"
"""No heartbeat was sent lately; it can come back, so that one look tells nothing."""
_MEANINGS: Mapping[str, str] = {
    "NotStarted": "not started yet",
    "Starting": "starting",
    "Provisioning": "machines are being made",
    "Preparing": "the environment is being prepared; an image may have to be built, which takes up to half an hour",
    "Queued": "waits for machines",
    "Scheduled": "waits for machines",
    "Finalizing": "its outputs are being written",
    "CancelRequested": "is being stopped",
    NOT_RESPONDING: "no sign of life lately; it can come back",
    "Paused": "somebody paused it",
    "Pausing": "somebody pauses it",
    "Unapproved": "waits for somebody's approval",
}


def status_of(value: Any) -> RunStatus:
    """Return where a job stands, from the service's word for it."""
    return STATUSES.get(word(value), RunStatus.QUEUED)


def described(value: Any) -> str:
    """Return the service's own word with what it means; a word that nobody knows is said as it is.

    >>> described("Preparing")[:25], described("Dreaming"), described(None)
    ('Preparing: the environmen', "'Dreaming': a state that azft does not know", 'no state was told')
    """
    if value is None or not word(value):
        return "no state was told"
    said = word(value)
    if said in _MEANINGS:
        return f"{said}: {_MEANINGS[said]}"
    return said if said in STATUSES else f"{said!r}: a state that azft does not know"
