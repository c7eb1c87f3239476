"""Step 5: follow a run to its end."""

from __future__ import annotations

from collections.abc import Callable

from attrs import evolve

from azft.display import Display, display
from azft.domain.expecting import expect_run
from azft.domain.run import Run, RunEvent, RunResult, RunStatus
from azft.errors import AzftError, RunCanceledError, RunError, RunFailedError, RunTimeoutError
from azft.ports import RunService
from azft.rules.curves import LossCurves


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

    def watch(self, run: Run, *, timeout: float | None = None, queue_timeout: float | None = None) -> RunResult:
        """Return the result of a completed run; `timeout` and `queue_timeout` (until it begins) in seconds.

        Errors: `RunFailedError`, `RunCanceledError`, `RunTimeoutError` (the run goes on). Ctrl-C stops the watching,
        not the run. Whatever else ends the watching says how to come back to the run.
        """
        expect_run(run, Run)
        with display(run, enabled=self._progress) as shown:
            try:
                result = self._followed(run, shown, timeout, queue_timeout)
            except KeyboardInterrupt:
                shown.say(how_to_return(run))
                raise
            except RunError:
                raise
            except AzftError as error:
                error.add_note(how_to_return(run))
                raise
        if result.status is RunStatus.FAILED:
            raise failed(run, result)
        if result.status is RunStatus.CANCELED:
            why = f": {result.error}" if result.error else ""
            raise RunCanceledError(f"{run.id} was canceled{why}", run, result.status, hint="submit the plan again")
        return result

    def _followed(self, run: Run, shown: Display, timeout: float | None, queue_timeout: float | None) -> RunResult:
        begun, said = False, ""
        curves = LossCurves()
        bounds = {} if queue_timeout is None else {"queue_timeout": queue_timeout}
        for event in self._backend.events(run, timeout=timeout, **bounds):
            self._observe(event)
            curves.hear(event)
            shown.show(event)
            said = event.message if event.kind == "state" else said
            begun = begun or (event.kind == "status" and event.message != RunStatus.QUEUED)
        result = evolve(self._backend.result(run), curves=curves.lines)
        if not result.status.ended:
            still = f"is still {result.status}" if begun or queue_timeout is None else "has not begun"
            why = f"; the last that was heard of it: {said}" if said else ""
            raise RunTimeoutError(
                f"{run.id} {still} after the time given{why}", run, result.status, hint=how_to_return(run)
            )
        return result


def failed(run: Run, result: RunResult) -> RunFailedError:
    """Return the error of a failed run: its step, the cause, the line that proves it, and what to do."""
    said = str(result.diagnosis) if result.diagnosis is not None else result.error or "no reason was given"
    message = f"{run.id} failed: {said}"
    if result.diagnosis is not None and result.error and result.error not in message:
        message = f"{message}\n  whole message: {result.error}"
    return RunFailedError(message, run, result.status, hint=f"its logs: {result.outputs}", diagnosis=result.diagnosis)


def how_to_return(run: Run) -> str:
    """Say how to come back to a run, or to stop it."""
    return (
        f"{run.id} goes on by itself. To watch it again: session.watch(session.attach({run.id!r})); "
        f"to stop it: session.cancel(session.attach({run.id!r}))"
    )
