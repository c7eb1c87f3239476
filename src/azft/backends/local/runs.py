"""Runs as child processes: started, found again, followed, resumed, canceled."""

from __future__ import annotations

import math
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from attrs import evolve
from filelock import FileLock, Timeout

from azft.backends.local.events import EventLog, EventReader, read_events, status_of
from azft.backends.local.home import Home
from azft.backends.local.launch import start_detached, wait_until
from azft.domain.data import DataFile, PreparedData
from azft.domain.evaluation import EvaluationReport
from azft.domain.job import Job
from azft.domain.jsonable import from_json, to_json
from azft.domain.run import Run, RunEvent, RunResult, RunStatus
from azft.errors import NotFoundError, RunError, RunFailedError
from azft.files import whole_folder, write_whole

RESTARTS = 3
"""A worker that dies this often without reaching a new checkpoint is not started again."""


class LocalRuns:
    """The run service of this machine; all state is in the run folders, none in this object."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def submit(self, job: Job) -> Run:
        """Write the run folder and start its worker."""
        run_id = f"run-{uuid.uuid4().hex[:12]}"
        run = Run(run_id, "local", job.display_name, job.experiment, job.model_name)
        final = self._home.run(run_id)
        with whole_folder(final) as folder:
            job = evolve(job, data=_kept(job.data, folder / "data", final / "data"))
            (folder / "job.json").write_bytes(to_json(job))
            (folder / "parameters.json").write_bytes(to_json(job.parameters))
            (folder / "run.json").write_bytes(to_json(run))
            (folder / "events.jsonl").touch()
            (folder / "logs").mkdir()
        self._start(run)
        return run

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

    def events(self, run: Run, *, poll: float = 0.2, timeout: float | None = None) -> Iterator[RunEvent]:
        """Yield events until the run has ended; a worker that was killed is started again from its checkpoint."""
        self.find_run(run.id)
        reader = EventReader(self.folder(run) / "events.jsonl")
        restarts, furthest, reached = 0, 0, 0
        deadline = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            alive = self.alive(run)
            for event in reader.new():
                reached = max(reached, event.step)
                yield event
                if event.kind == "status" and RunStatus(event.message).ended:
                    return
            if not alive:
                restarts = 0 if reached > furthest else restarts + 1
                furthest = reached
                if restarts > RESTARTS:
                    raise RunFailedError(
                        f"{run.id}: its worker was lost {restarts} times without progress",
                        run,
                        RunStatus.RUNNING,
                        hint=f"see {self.folder(run) / 'logs' / 'worker.log'}",
                    )
                self._start(run)
            if time.monotonic() >= deadline:
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
        return RunResult(
            run,
            status_of(events),
            metrics,
            tuple(warnings),
            failure.read_text(encoding="utf-8") if failure.exists() else "",
            str(self.folder(run)),
        )

    def evaluation(self, run: Run) -> EvaluationReport:
        """Return the report the evaluate stage wrote."""
        status = self.result(run).status
        path = self.folder(run) / "evaluate" / "report.json"
        if not path.is_file():
            raise RunError(f"{run.id} has no evaluation", run, status, hint="watch the run until it has completed")
        return from_json(EvaluationReport, path.read_bytes())

    def cancel(self, run: Run) -> None:
        """Leave a note for the worker; where there is none any more, close the run here."""
        if self.result(run).status.ended:
            return
        write_whole(self.folder(run) / "cancel", b"")
        lock = FileLock(self.folder(run) / "worker.lock")
        try:
            with lock.acquire(timeout=0):
                if not self.result(run).status.ended:
                    EventLog(self.folder(run) / "events.jsonl").say("status", RunStatus.CANCELED)
        except Timeout:
            return

    def alive(self, run: Run) -> bool:
        """Whether a worker holds the run; the lock goes with its process, however it ends."""
        try:
            with FileLock(self.folder(run) / "worker.lock").acquire(timeout=0):
                return False
        except Timeout:
            return True

    def _start(self, run: Run) -> None:
        """Start a worker in a session of its own, so that it outlives this process; the lock lets only one work."""
        folder = self.folder(run)
        start_detached("azft.backends.local.engine.worker", [folder, self._home.root], folder / "logs" / "worker.log")
        wait_until(lambda: self.alive(run))


def _kept(data: PreparedData, folder: Path, final: Path) -> PreparedData:
    """Put the files into the run's own folder, linked where the disk can, so that the run needs nothing outside."""
    folder.mkdir()

    def keep(file: DataFile) -> DataFile:
        try:
            os.link(file.path, folder / file.path.name)
        except OSError:
            shutil.copyfile(file.path, folder / file.path.name)
        return evolve(file, path=final / file.path.name)

    return evolve(data, folder=final, train=keep(data.train), validation=keep(data.validation), test=keep(data.test))
