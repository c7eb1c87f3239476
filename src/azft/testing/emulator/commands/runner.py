"""The process that runs one command job to its end, whatever becomes of the emulator."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from azft.backends.local.launch import received_secrets
from azft.domain.jsonable import from_json
from azft.domain.run import RunStatus
from azft.processes import started
from azft.testing.emulator.blobs import Blobs
from azft.testing.emulator.commands import progress
from azft.testing.emulator.commands.mounts import Mount, lay_out
from azft.testing.emulator.commands.order import Kept, Order
from azft.testing.emulator.commands.processes import Processes, environment_of
from azft.testing.emulator.commands.progress import CANCEL, FAIL, LOGS, ORDER, PREEMPT, Moment, Progress
from azft.testing.emulator.scripts import EVICTED
from azft.variables import allowed

EVERY = 0.1
LOOKED_AT_EVERY = 0.5
"""Seconds between looks at what a mount was written."""
TIMED_OUT = "The job exceeded its time limit of {seconds:g} seconds and was canceled."


def main(folder: Path, storage: Path) -> None:
    """Run the job of a folder; what its processes know beside their own comes on standard input."""
    order = from_json(Order, (folder / ORDER).read_bytes())
    Runner(folder, order, Blobs(storage), received_secrets()).run()


class Runner:
    """Runs the attempts of one job, until one ends or somebody wants it to."""

    def __init__(self, folder: Path, order: Order, blobs: Blobs, given: Mapping[str, str]) -> None:
        self._folder = folder
        self._order = order
        self._blobs = blobs
        self._environment = environment_of(allowed(os.environ), given)
        self._logs = folder / LOGS
        self._run = f"ExperimentRun/dcid.{order.job}"
        self._told = Mount(Kept("uri_folder", f"{self._run}/user_logs"), self._logs, blobs)
        self._progress = Progress(process=os.getpid(), since=started())
        self._limit = 0.0

    def run(self) -> None:
        """Attempt the job until it ends; the time limit holds for all attempts together."""
        self._logs.mkdir(exist_ok=True)
        begun = time.time()
        self._limit = begun + self._order.timeout if self._order.timeout else 0.0
        self._say(RunStatus.RUNNING, "the job has begun", begun=begun)
        while not self._progress.status.ended:
            self._attempt()

    def _attempt(self) -> None:
        number = self._progress.attempt + 1
        self._progress = evolve(self._progress, attempt=number)
        place = self._folder / f"attempt-{number}"
        nodes = [place / f"node-{node}" for node in range(self._order.nodes)]
        places = [lay_out(self._order, node, self._blobs) for node in nodes]
        artifacts = Kept("uri_folder", f"{self._run}/outputs", "Upload")
        mounts = {
            name: Mount(kept, place / f"OUTPUT_{name}", self._blobs) for name, kept in self._order.outputs.items()
        }
        magic = Mount(artifacts, nodes[0] / "wd" / "outputs", self._blobs)
        for name, mount in mounts.items():
            mount.begin()
            for one in places:
                one[f"outputs.{name}"] = str(mount.target)
        with Processes(self._order, nodes, places, self._logs) as processes:
            processes.start(self._with_places(places[0]))
            self._follow(processes, [*mounts.values(), self._told], [*mounts.values(), magic])
        shutil.rmtree(place, ignore_errors=True)

    def _follow(self, processes: Processes, mounts: list[Mount], ending: list[Mount]) -> None:
        """Watch one attempt; what was written to mounts gets to the storage meanwhile."""
        looked = time.monotonic()
        while True:
            failed = processes.failed()
            if failed is not None:
                processes.end()
                for mount in ending:
                    mount.end()
                done = RunStatus.FAILED if failed else RunStatus.COMPLETED
                return self._say(done, "the command has failed" if failed else "the command has ended", error=failed)
            if (self._folder / CANCEL).exists():
                processes.end()
                return self._say(RunStatus.CANCELED, "canceled")
            if self._limit and time.time() > self._limit:
                processes.end()
                said = TIMED_OUT.format(seconds=self._order.timeout)
                return self._say(RunStatus.CANCELED, said, error=said)
            if (wish := self._preempted()) is not None:
                processes.kill()
                if wish == FAIL:
                    return self._say(RunStatus.FAILED, "the machines were taken away", error=EVICTED)
                return self._say(RunStatus.RUNNING, "the machines were taken away; the job is restarted")
            if not self._folder.is_dir():
                sys.exit("the job's folder is gone, and with it everybody who would want its result")
            if time.monotonic() - looked > LOOKED_AT_EVERY:
                looked = time.monotonic()
                for mount in mounts:
                    mount.look()
            time.sleep(EVERY)

    def _preempted(self) -> str | None:
        """Return what becomes of the job now that its machines are taken away; None where they are not."""
        path = self._folder / PREEMPT
        if not path.exists():
            return None
        wish = path.read_text(encoding="ascii")
        path.unlink()
        return wish

    def _with_places(self, places: Mapping[str, str]) -> dict[str, str]:
        named = {
            f"AZURE_ML_{kind.upper()[:-1]}_{name}": place
            for key, place in places.items()
            for kind, _, name in [key.partition(".")]
        }
        return {**self._environment, **named}

    def _say(self, status: RunStatus, text: str, *, error: str = "", begun: float = 0.0) -> None:
        now = time.time()
        self._told.end()
        ended = now if status.ended else 0.0
        self._progress = evolve(
            self._progress,
            status=status,
            begun=begun or self._progress.begun,
            ended=ended,
            error=error,
            moments=(*self._progress.moments, Moment(now, text)),
        )
        progress.write(self._folder, self._progress)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
