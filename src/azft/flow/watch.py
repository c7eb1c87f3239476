"""Step 5: follow a run to its end."""

from __future__ import annotations

from collections.abc import Callable

from azft.display import Display, display
from azft.domain.run import Run, RunEvent, RunResult, RunStatus
from azft.errors import RunCanceledError, RunFailedError, RunTimeoutError
from azft.ports import RunService


class RunWatcher:
    """Shows what a run does until it ends; the run itself does not need it."""

    def __init__(
        self,
        backend: RunService,
        *,
        progress: bool = True,
        observe: Callable[[RunEvent], None] = lambda _event: None,
    ) -> None:
        self._backend = backend
        self._progress = progress
        self._observe = observe

    def watch(self, run: Run, *, timeout: float | None = None) -> RunResult:
        """Return the result of a completed run; `timeout` in seconds.

        Errors: `RunFailedError`, `RunCanceledError`, `RunTimeoutError` (the run goes on). Ctrl-C stops the watching,
        not the run.
        """
        with display(run, enabled=self._progress) as shown:
            try:
                self._follow(run, shown, timeout)
            except KeyboardInterrupt:
                shown.say(how_to_return(run))
                raise
        result = self._backend.result(run)
        if result.status is RunStatus.FAILED:
            raise RunFailedError(
                f"{run.id} failed: {result.error}", run, result.status, hint=f"its logs: {result.outputs}"
            )
        if result.status is RunStatus.CANCELED:
            raise RunCanceledError(f"{run.id} was canceled", run, result.status, hint="submit the plan again")
        return result

    def _follow(self, run: Run, shown: Display, timeout: float | None) -> None:
        for event in self._backend.events(run, timeout=timeout):
            self._observe(event)
            shown.show(event)
        status = self._backend.result(run).status
        if not status.ended:
            raise RunTimeoutError(
                f"{run.id} is still {status} after the time given", run, status, hint=how_to_return(run)
            )


def how_to_return(run: Run) -> str:
    """Say how to come back to a run, or to stop it."""
    return (
        f"{run.id} goes on by itself. To watch it again: session.watch(session.attach({run.id!r})); "
        f"to stop it: session.cancel(session.attach({run.id!r}))"
    )
