"""Runs as child processes: started, found again, followed, resumed, canceled."""

from __future__ import annotations

import math
import os
import re
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from attrs import evolve
from filelock import FileLock, Timeout

from azft.backends.local.holding import WORKER, discard_held, is_held
from azft.backends.local.home import Home
from azft.backends.local.launch import ending, start_detached, told
from azft.backends.local.tracking import Tracking
from azft.domain.data import DataFile, PreparedData
from azft.domain.diagnosis import Diagnosis
from azft.domain.evaluation import Answer, EvaluationReport
from azft.domain.job import Job
from azft.domain.jsonable import from_json, to_json
from azft.domain.resource import Leftover, Resource
from azft.domain.run import Run, RunEvent, RunResult, RunState, RunStatus
from azft.errors import BackendError, NameTakenError, NotFoundError, NotOursError, RunError
from azft.files import linked_or_copied, whole_folder, write_whole
from azft.rules.diagnosis import diagnosed
from azft.rules.marks import TOKEN, is_ours
from azft.stages.scripts import CODE, end_script, keep_code
from azft.training.events import EventLog, EventReader, read_events, status_of
from azft.variables import hub_secrets
from azft.waiting import wait_until

OWN = "AZFT-F098"
"""The code of a failure that azft's own error explains."""
STOPPED_WITHIN = 120.0
"""Seconds until a worker that was asked to stop has done so."""
LOST = re.compile(r"worker was lost .*\(code (-?\d+)\)")
STAGE = re.compile(r"stage (\w+): ")
RESTARTS = 3
"""A worker that dies this often without reaching a new checkpoint is not started again."""


class LocalRuns:
    """The run service of this machine; all state is in the run folders, none in this object."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def submit(self, job: Job) -> Run:
        """Write the run folder and start its worker; a job whose run is there already starts nothing."""
        run_id = job.id or f"run-{uuid.uuid4().hex[:12]}"
        known = self.state(run_id) if job.id else None
        if known is not None:
            if known.key == job.key:
                return known.run
            raise NameTakenError(f"there is a run {run_id!r} already, and it is another one", hint="give another id")
        run = Run(run_id, "local", job.display_name, job.experiment, job.model_name)
        final = self._home.run(run_id)
        with whole_folder(final) as folder:
            tags = {TOKEN: uuid.uuid4().hex, **job.tags}
            job = evolve(job, data=_kept(job.data, folder / "data", final / "data"), tags=tags)
            (folder / "job.json").write_bytes(to_json(job))
            (folder / "parameters.json").write_bytes(to_json(job.parameters))
            (folder / "run.json").write_bytes(to_json(run))
            keep_code(job, folder / CODE)
            (folder / "events.jsonl").touch()
            (folder / "logs").mkdir()
        self._start(run)
        return run

    def state(self, run_id: str) -> RunState | None:
        """Return where the run of that id stands; None if there is none."""
        try:
            run = self.find_run(run_id)
        except NotFoundError:
            return None
        key = self.job(run).key
        status = status_of(read_events(self.folder(run) / "events.jsonl"))
        return RunState(run, status, (self.folder(run) / "run.json").stat().st_mtime, key)

    def resume(self, run: Run) -> Run:
        """Go on with a run that failed, from its last checkpoint and the stages that are done."""
        folder = self.folder(run)
        status = self.result(run).status
        if status is RunStatus.CANCELED:
            raise RunError(f"{run.id} was canceled", run, status, hint="session.submit(plan) starts it again")
        if status is RunStatus.FAILED:
            (folder / "failure.txt").unlink(missing_ok=True)
            (folder / "cancel").unlink(missing_ok=True)
            EventLog(folder / "events.jsonl").say("status", RunStatus.QUEUED)
        if not self.alive(run):
            self._start(run)
        return run

    def delete(self, run_id: str, token: str = "") -> None:
        """Stop the run and remove its folder; one that is gone is fine, one that is not ours is left."""
        if not self._home.run(run_id).exists():
            return
        run = self.find_run(run_id)
        if token and not is_ours(self.job(run).tags, token):
            raise NotOursError(f"run {run_id} was made by somebody else, so it is left")
        self.cancel(run)
        if wait_until(lambda: not self.alive(run), STOPPED_WITHIN):
            end_script(self.folder(run))
        if not discard_held(self.folder(run) / WORKER, within=0.0):
            raise BackendError(f"{run_id} does not stop", hint="try again; its worker is busy")

    def leftovers(self) -> Iterator[Leftover]:
        """Yield every run that is there."""
        for folder in sorted(self._home.runs.glob("*")):
            if folder.name.startswith(".") or not (folder / "run.json").is_file():
                continue
            status = status_of(read_events(folder / "events.jsonl"))
            tags = from_json(Job, (folder / "job.json").read_bytes()).tags
            resource = Resource("run", folder.name, "local", tags.get(TOKEN, ""))
            yield Leftover(resource, status, (folder / "run.json").stat().st_mtime, price=0.0)

    def find_run(self, run_id: str) -> Run:
        """Return the run with that id, whoever started it."""
        path = self._home.run(run_id) / "run.json"
        if not path.is_file():
            raise NotFoundError(f"no run {run_id!r} in {self._home.root}", hint="runs are folders in .azft/runs")
        return from_json(Run, path.read_bytes())

    def job(self, run: Run) -> Job:
        """Return the job the run was started with."""
        self.find_run(run.id)
        return from_json(Job, (self.folder(run) / "job.json").read_bytes())

    def folder(self, run: Run) -> Path:
        """Return the run's folder."""
        return self._home.run(run.id)

    def events(
        self, run: Run, *, poll: float = 0.2, timeout: float | None = None, queue_timeout: float | None = None
    ) -> Iterator[RunEvent]:
        """Yield events until the run has ended; a worker that was killed is started again from its checkpoint."""
        self.find_run(run.id)
        reader = EventReader(self.folder(run) / "events.jsonl")
        restarts, furthest, reached = 0, 0, 0
        begun = time.monotonic()
        deadline = math.inf if timeout is None else begun + timeout
        start_by = math.inf if queue_timeout is None else begun + queue_timeout
        while True:
            alive = self.alive(run)
            waits = False
            for event in reader.new():
                reached = max(reached, event.step)
                yield event
                # A run that was resumed has ended before, and goes on.
                if event.kind == "status":
                    waits = RunStatus(event.message) is RunStatus.QUEUED
                    start_by = start_by if waits else math.inf
                if event.kind == "status" and RunStatus(event.message).ended and reader.at_end():
                    return
            if not self.folder(run).is_dir():
                raise RunError(
                    f"{run.id} was deleted while it was watched", run, RunStatus.CANCELED, hint="submit the plan again"
                )
            if not alive:
                restarts = 0 if reached > furthest else restarts + 1
                furthest = reached
                if restarts > RESTARTS:
                    self._close(run, restarts)
                    continue
                self._start(run)
            if time.monotonic() >= min(deadline, start_by):
                return
            time.sleep(poll)

    def result(self, run: Run) -> RunResult:
        """Return the state, and the metrics and warnings so far."""
        self.find_run(run.id)
        events = read_events(self.folder(run) / "events.jsonl")
        metrics: dict[str, float] = {}
        for event in events:
            if event.kind in {"metrics", "progress"}:
                metrics.update(event.values)
        warnings = dict.fromkeys(event.message for event in events if event.kind == "warning")
        failure = self.folder(run) / "failure.txt"
        error = failure.read_text(encoding="utf-8") if failure.exists() else ""
        status = status_of(events)
        diagnosis = self._diagnosis(run, error) if status is RunStatus.FAILED else None
        return RunResult(run, status, metrics, tuple(warnings), error, str(self.folder(run)), diagnosis)

    def _diagnosis(self, run: Run, error: str) -> Diagnosis:
        """Return the cause of a failure: what the worker said of it, its log, and how its process ended."""
        log = self.folder(run) / "logs" / "worker.log"
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
        said = LOST.search(error)
        code = int(said[1]) if said else None
        stage = STAGE.match(error)
        message = error[stage.end() :] if stage else error
        # An error of azft's own says what to do by itself, and its log has nothing to add.
        own = bool(message) and "\n  hint: " in message
        found = diagnosed(message, () if own else lines, step=stage[1] if stage else "", exit_code=code)
        if own and not found.known:
            title, _, fix = message.partition("\n  hint: ")
            return evolve(found, title=title, fix=fix, message="", code=OWN)
        return found

    def _close(self, run: Run, times: int) -> None:
        """Say that a run has failed whose worker cannot work; `resume` opens it again."""
        folder = self.folder(run)
        end_script(folder)
        code = ending(folder)
        number = "" if code is None else f" (code {code})"
        said = f"its worker was lost {times} times without progress: {told(code)}{number}"
        write_whole(folder / "failure.txt", f"{said}; session.resume(run) goes on with it".encode())
        EventLog(folder / "events.jsonl").say("status", RunStatus.FAILED)
        self._end_in_mlflow(run, RunStatus.FAILED)

    def evaluation(self, run: Run) -> EvaluationReport:
        """Return the report the evaluate stage wrote."""
        status = self.result(run).status
        path = self.folder(run) / "evaluate" / "report.json"
        if not path.is_file():
            raise RunError(f"{run.id} has no evaluation", run, status, hint="watch the run until it has completed")
        return from_json(EvaluationReport, path.read_bytes())

    def answers(self, run: Run, questions: Sequence[Mapping[str, Any]]) -> tuple[Answer, ...]:
        """Ask both models of a completed run in this process."""
        self.evaluation(run)  # There are models where there is a report.
        from azft.stages.judging import answered

        folder = self.folder(run)
        whole = folder / "finetune" / "model"
        tuned = whole if whole.is_dir() else folder / "export" / "merged"
        return answered(folder / "import", tuned, questions, lambda _done, _total: None)

    def cancel(self, run: Run) -> None:
        """Leave a note for the worker; where there is none any more, close the run here."""
        if self.result(run).status.ended:
            return
        write_whole(self.folder(run) / "cancel", b"")
        lock = FileLock(self.folder(run) / WORKER)
        try:
            with lock.acquire(timeout=0):
                end_script(self.folder(run))
                if not self.result(run).status.ended:
                    EventLog(self.folder(run) / "events.jsonl").say("status", RunStatus.CANCELED)
                    self._end_in_mlflow(run, RunStatus.CANCELED)
        except Timeout:
            return

    def alive(self, run: Run) -> bool:
        """Whether a worker holds the run."""
        return is_held(self.folder(run) / WORKER)

    def _end_in_mlflow(self, run: Run, status: RunStatus) -> None:
        """Say in MLflow how a run ended whose worker is gone, and so cannot; without one that works, only we know."""
        if not self._home.database.exists():
            return
        try:
            Tracking(self._home).end(run.id, status)
        except Exception as error:  # noqa: BLE001 - MLflow's store may be damaged; the run has ended all the same
            said = f"MLflow cannot be written, so there the run goes on: {error}"
            EventLog(self.folder(run) / "events.jsonl").say("warning", said)

    def _start(self, run: Run) -> None:
        """Start a worker in a session of its own, so that it outlives this process; the lock lets only one work."""
        folder = self.folder(run)
        log = folder / "logs" / "worker.log"
        # Weights on this disk need nobody's token.
        weights = self.job(run).model.weights
        needed = hub_secrets(os.environ) if weights and not Path(weights).exists() else {}
        start_detached("azft.backends.local.worker", [folder, self._home.root], log, secrets=needed)
        wait_until(lambda: self.alive(run) or ending(folder) is not None)


def _kept(data: PreparedData, folder: Path, final: Path) -> PreparedData:
    """Put the files into the run's own folder, linked where the disk can, so that the run needs nothing outside."""
    folder.mkdir()

    def keep(file: DataFile) -> DataFile:
        linked_or_copied(file.path, folder / file.path.name)
        return evolve(file, path=final / file.path.name)

    return evolve(data, folder=final, train=keep(data.train), validation=keep(data.validation), test=keep(data.test))
