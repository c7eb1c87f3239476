"""A log line for what a run says."""

import logging

from azft.domain.run import RunEvent
from azft.plugins import hookimpl

_log = logging.getLogger("azft.run")


@hookimpl
def azft_run_event(event: RunEvent) -> None:
    """Log states, stages and warnings at INFO and WARNING, numbers at DEBUG."""
    if event.kind == "warning":
        _log.warning("%s: %s", event.stage, event.message)
    elif event.kind in {"progress", "metrics"}:
        _log.debug("%s: step %d of %d %s", event.stage, event.step, event.total, dict(event.values))
    else:
        _log.info("%s: %s", event.stage or "run", event.message)
