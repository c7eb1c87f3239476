"""Pipelines and sweeps that run: a step begins when what it waits for is done, as a command job of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import orjson
from attrs import asdict, frozen

from azft.domain.run import RunStatus
from azft.testing.emulator.commands.jobs import CommandJobs
from azft.testing.emulator.commands.progress import Progress
from azft.testing.emulator.composed.early import ends_early, policy_of
from azft.testing.emulator.composed.graph import Graph, Step, step_id
from azft.testing.emulator.composed.search import best_of
from azft.testing.emulator.composed.sweeps import at_once, objective_of, sweep_step, trial_command, trials_in
from azft.testing.emulator.state import Document
from azft.testing.emulator.story import AZURE, Story, clock
from azft.testing.emulator.story import Step as Told
from azft.testing.emulator.wire import WireError, bad_request
from azft.testing.emulator.world import CONTAINER, World, path_of
from azft.waiting import Repeating

KIND = "composed"
"""What is kept of each: its steps, and which of them have begun."""
EVERY = 0.1
"""Seconds between two looks at what works."""
JUDGED_EVERY = 5
"""Looks after which trials that may end early are judged again: each asks MLflow for all that was logged."""
_DONE = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.CANCELED)
_log = logging.getLogger("azft.emulator")
Histories = Callable[[Sequence[str], str], dict[str, list[float]]]
"""From runs' ids and a metric to what each has logged of it, oldest first."""


@frozen
class Unit:
    """Where a step stands: its status, its times, 0 for none, and why it failed."""

    status: RunStatus = RunStatus.QUEUED
    begun: float = 0.0
    ended: float = 0.0
    error: str = ""


class Composed:
    """Runs the steps of pipelines and the trials of sweeps; a thread begins what is ready, whoever looks or not."""

    def __init__(
        self,
        world: World,
        commands: CommandJobs,
        find: Callable[[str], Mapping[str, Any]],
        check: Callable[[Mapping[str, Any]], None],
        histories: Histories,
    ) -> None:
        self._world = world
        self._commands = commands
        self._find = find
        self._check = check
        self._histories = histories
        self._ended: dict[str, list[float]] = {}
        self._lock = threading.RLock()
        self._looks = 0
        self._ticking = Repeating(self._tick, EVERY, "azft-composed")
        self._open: set[str] = {str(entry["name"]) for entry in world.state.all(KIND) if not entry.get("ended")}

    def start(self) -> None:
        """Begin to look after what works."""
        self._ticking.__enter__()

    def stop(self) -> None:
        """Look after nothing any more."""
        self._ticking.__exit__(None, None, None)

    def check(self, name: str, properties: Mapping[str, Any]) -> list[Step]:
        """Return the steps of a pipeline or of a sweep; the service's refusal of one that cannot be."""
        if properties.get("jobType") == "Sweep":
            step = sweep_step(name, properties, self._world.store_uri)
            trials_in(step)
            self._check(step.command)
            return [step]
        steps = Graph(name, self._find, self._world.store_uri).steps(properties)
        for step in steps:
            if step.kind != "pipeline":
                self._check(step.command)
            if step.kind == "sweep":
                trials_in(step)
        return steps

    def begin(self, name: str, properties: Mapping[str, Any]) -> None:
        """Keep the steps of a job and begin those that wait for nothing."""
        steps = self.check(name, properties)
        fails = bool((properties.get("settings") or {}).get("continue_on_step_failure", True))
        document: Document = {
            "name": name,
            "continue": fails,
            "steps": {step.path: {**asdict(step), "begun": False} for step in steps},
            "begun": self._world.clock.now(),
        }
        for step in steps:
            if step.kind == "sweep":
                document["steps"][step.path]["trials"] = [
                    {"id": step_id(step.id, str(number)), "values": values, "begun": False}
                    for number, values in enumerate(trials_in(step))
                ]
        with self._lock:
            self._world.state.put(KIND, name, document)
            self._open.add(name)
            self._advance(name)

    def children(self, name: str) -> Iterator[tuple[str, str]]:
        """Yield the id and the path of every run that a job has."""
        for path, step in self._kept(name)["steps"].items():
            if step["id"] != name:
                yield step["id"], path
            for number, trial in enumerate(step.get("trials", ())):
                yield trial["id"], _trial_path(path, number)

    def story(self, document: Document) -> Story:
        """Return what the job has told so far, with the runs that have begun."""
        with self._lock:
            kept = self._kept(document["name"])
            told = list(self._told(kept))
            status = self._status(kept)
        begun = float(kept["begun"])
        ended = float(kept.get("ended") or 0.0) or None
        shown = AZURE[status] if ended else "Running"
        if document.get("canceled") is not None and not ended:
            shown = "CancelRequested"
        lines = [(step.begun, f"Submitting {step.name}, child run {step.id}") for step in told]
        lines += [(step.ended, f"Finishing {step.name}: {step.status}") for step in told if step.ended]
        log = "".join(f"[{clock(at)}] {text}\n" for at, text in sorted(lines))
        return Story(shown, begun, ended, tuple(step for step in told if step.id != kept["name"]), log)

    def error(self, name: str, path: str) -> str:
        """Return why a step failed."""
        return self._unit_at(self._kept(name), path).error

    def outputs(self, name: str, path: str) -> dict[str, str]:
        """Return where the outputs of a step, or of a trial, lie in storage."""
        step = self._kept(name)["steps"].get(path)
        if step is not None:
            return {output: path_of(uri).rstrip("/") for output, uri in step["outputs"].items()}
        base, number = _of_trial(path)
        trial = self._kept(name)["steps"][base]["trials"][number]
        return {output: f"azureml/{trial['id']}/{output}" for output in self._kept(name)["steps"][base]["outputs"]}

    def best_trial(self, name: str, path: str = "") -> str:
        """Return the run id of a sweep's best trial, nothing while there is none."""
        return str(self._kept(name)["steps"][path].get("best") or "")

    def cancel(self, name: str) -> None:
        """Stop what works, and begin nothing more."""
        with self._lock:
            kept = self._kept(name)
            kept["canceled"] = True
            self._world.state.put(KIND, name, kept)
            self._stop_all(kept)

    def forget(self, name: str) -> None:
        """Delete the files of a job that has ended."""
        for identity, _path in list(self.children(name)) if self._world.state.get(KIND, name) else ():
            self._commands.forget(identity)
            self._ended.pop(identity, None)
        self._world.state.delete(KIND, name)

    def _kept(self, name: str) -> Document:
        found = self._world.state.get(KIND, name)
        if found is None:
            raise bad_request(f"job {name} has no steps")
        return found

    def _tick(self) -> None:
        self._looks += 1
        for name in list(self._open):
            try:
                with self._lock:
                    known = self._world.state.get(KIND, name) is not None
                    undecided = self._advance(name) if known else []
                if not known:
                    self._open.discard(name)
                for path in undecided:
                    self._decide(name, path)
                if known and self._looks % JUDGED_EVERY == 0:
                    self._end_early(name)
            except Exception:  # noqa: BLE001 - a fault of one job is not to stop those of all others
                _log.exception("job %s: a look at its steps failed", name)

    def _advance(self, name: str) -> list[str]:
        """Begin what can begin; return the sweeps whose trials have all ended, so that the best is to be found."""
        kept = self._kept(name)
        before = orjson.dumps(kept)
        units = self._units(kept)
        failed = any(unit.status in {RunStatus.FAILED, RunStatus.CANCELED} for unit in units.values())
        halted = kept.get("canceled") or (failed and not kept["continue"])
        if halted and not kept.get("halted"):
            kept["halted"] = True
            self._stop_all(kept)
        for path, unit in units.items():
            step = kept["steps"][path]
            if step["kind"] == "sweep" and step["begun"]:
                self._advance_sweep(kept, path, halted=bool(halted))
            elif not step["begun"] and unit.status is RunStatus.QUEUED and not halted and self._ready(kept, path):
                step["begun"] = True
                if step["kind"] == "sweep":
                    self._advance_sweep(kept, path, halted=False)
                else:
                    self._begin_command(kept, step["id"], step["command"])
        if self._is_over(kept, units):
            kept["ended"] = max([self._world.clock.now(), *(unit.ended for unit in units.values())])
            self._open.discard(name)
        if orjson.dumps(kept) != before:
            self._world.state.put(KIND, name, kept)
        return [
            path
            for path, step in kept["steps"].items()
            if step["kind"] == "sweep"
            and step["begun"]
            and "best" not in step
            and all(self._trial(kept, trial).status in _DONE for trial in step["trials"])
        ]

    def _begin_command(self, kept: Document, identity: str, command: Mapping[str, Any]) -> None:
        try:
            self._commands.begin(identity, command, root=kept["name"])
        except WireError as error:
            # What a step reads may not be what it says once the steps before it have run.
            kept.setdefault("refused", {})[identity] = str(error)

    def _advance_sweep(self, kept: Document, path: str, *, halted: bool) -> None:
        step = kept["steps"][path]
        trials = step["trials"]
        units = [self._trial(kept, trial) for trial in trials]
        working = sum(trial["begun"] and unit.status not in _DONE for trial, unit in zip(trials, units, strict=True))
        for number, trial in enumerate(trials):
            if trial["begun"] or halted or working >= at_once(step["search"]):
                continue
            trial["begun"] = True
            working += 1
            command = trial_command(step["command"], trial, number, self._world.store_uri)
            self._begin_command(kept, trial["id"], command)

    def _decide(self, name: str, path: str) -> None:
        """Find the best trial, and give the sweep its outputs; what was measured is asked for without the lock."""
        kept = self._kept(name)
        step = kept["steps"][path]
        metric, goal = objective_of(step["search"])
        ids = [trial["id"] for trial in step["trials"]]
        completed = [t["id"] for t in step["trials"] if self._trial(kept, t).status is RunStatus.COMPLETED]
        logged = self._histories(completed, metric)
        best = best_of([logged[one][-1] if logged.get(one) else None for one in ids], goal)
        chosen = step["trials"][best]["id"] if best is not None else ""
        for output, uri in step["outputs"].items() if chosen else ():
            self._world.blobs.copy(CONTAINER, f"azureml/{chosen}/{output}", path_of(uri).rstrip("/"))
        with self._lock:
            kept = self._kept(name)
            kept["steps"][path] |= {"best": chosen, "ended": self._world.clock.now()}
            self._world.state.put(KIND, name, kept)

    def _end_early(self, name: str) -> None:
        """Cancel the trials that the policies of a job's sweeps end; what was logged is asked for without the lock."""
        kept = self._kept(name)
        for step in kept["steps"].values():
            policy = policy_of(step["search"]) if step["kind"] == "sweep" and "best" not in step else None
            if policy is None:
                continue
            metric, goal = objective_of(step["search"])
            begun = [trial["id"] for trial in step["trials"] if trial["begun"]]
            working = [one for one in begun if self._of_command(kept, one).status not in _DONE]
            # What has ended says nothing more, and is asked once.
            asked = [one for one in begun if one not in self._ended] if working else []
            told = self._histories(asked, metric)
            self._ended |= {one: values for one, values in told.items() if one not in working}
            histories = {**{one: self._ended[one] for one in begun if one in self._ended}, **told}
            for one in working:
                if ends_early(policy, one, histories, goal):
                    self._commands.cancel(one)

    def _ready(self, kept: Document, path: str) -> bool:
        return all(
            self._unit(kept, other).status is RunStatus.COMPLETED
            for after in kept["steps"][path]["after"]
            for other in _commands_within(kept, after)
        )

    def _is_over(self, kept: Document, units: Mapping[str, Unit]) -> bool:
        for path, unit in units.items():
            step = kept["steps"][path]
            if step["begun"] and unit.status not in _DONE:
                return False
            if not step["begun"] and not kept.get("halted") and not self._never(kept, path):
                return False
        return True

    def _never(self, kept: Document, path: str) -> bool:
        """Whether a step waits for one that has failed, or that waits for such a one."""
        for after in kept["steps"][path]["after"]:
            for other in _commands_within(kept, after):
                unit = self._unit(kept, other)
                if unit.status in {RunStatus.FAILED, RunStatus.CANCELED}:
                    return True
                if not kept["steps"][other]["begun"] and self._never(kept, other):
                    return True
        return False

    def _units(self, kept: Document) -> dict[str, Unit]:
        return {path: self._unit(kept, path) for path, step in kept["steps"].items() if step["kind"] != "pipeline"}

    def _unit(self, kept: Document, path: str) -> Unit:
        step = kept["steps"][path]
        if not step["begun"]:
            return Unit()
        if step["kind"] != "sweep":
            return self._of_command(kept, step["id"])
        units = [self._trial(kept, trial) for trial in step["trials"]]
        begun = min((unit.begun for unit in units if unit.begun), default=float(kept["begun"]))
        if "best" not in step:
            return Unit(RunStatus.RUNNING, begun)
        if step["best"]:
            return Unit(RunStatus.COMPLETED, begun, step["ended"])
        if kept.get("canceled"):
            return Unit(RunStatus.CANCELED, begun, step["ended"])
        failed = next((unit.error for unit in units if unit.error), "")
        metric, _goal = objective_of(step["search"])
        return Unit(
            RunStatus.FAILED,
            begun,
            step["ended"],
            failed or f"no trial that completed has logged the metric {metric!r}",
        )

    def _of_command(self, kept: Document, identity: str) -> Unit:
        refused = (kept.get("refused") or {}).get(identity)
        if refused:
            return Unit(RunStatus.FAILED, float(kept["begun"]), float(kept["begun"]), refused)
        found: Progress = self._commands.progress({"name": identity})
        return Unit(found.status, found.begun, found.ended, found.error)

    def _trial(self, kept: Document, trial: Mapping[str, Any]) -> Unit:
        if trial["begun"]:
            return self._of_command(kept, trial["id"])
        return Unit(RunStatus.CANCELED) if kept.get("halted") else Unit()

    def _unit_at(self, kept: Document, path: str) -> Unit:
        if path in kept["steps"]:
            return self._unit(kept, path)
        if not path:
            return Unit()
        base, number = _of_trial(path)
        return self._trial(kept, kept["steps"][base]["trials"][number])

    def _status(self, kept: Document) -> RunStatus:
        if kept.get("canceled"):
            return RunStatus.CANCELED
        return _worst(self._units(kept).values())

    def _told(self, kept: Document) -> Iterator[Told]:
        for path, step in kept["steps"].items():
            inside = [path] if step["kind"] != "pipeline" else _commands_within(kept, path)
            units = [unit for one in inside if (unit := self._unit(kept, one)).begun]
            if units:
                yield _as_told(kept, path, step, units, pipeline=step["kind"] == "pipeline", all_of=len(inside))
            for number, trial in enumerate(step.get("trials", ())):
                unit = self._trial(kept, trial)
                if unit.begun:
                    own = {"id": trial["id"], "module": f"{step['module']} trial {number}"}
                    yield _as_told(kept, _trial_path(path, number), own, [unit], pipeline=False, all_of=1)

    def _stop_all(self, kept: Document) -> None:
        for path, step in kept["steps"].items():
            for identity in [trial["id"] for trial in step.get("trials", ()) if trial["begun"]]:
                self._commands.cancel(identity)
            if step["begun"] and step["kind"] == "command" and self._unit(kept, path).status not in _DONE:
                self._commands.cancel(step["id"])


def _trial_path(path: str, number: int) -> str:
    return f"{path}.trial-{number}" if path else f"trial-{number}"


def _of_trial(path: str) -> tuple[str, int]:
    base, _, last = path.rpartition(".")
    return base, int(last.removeprefix("trial-"))


def _commands_within(kept: Document, path: str) -> list[str]:
    """Return the steps that a path means: itself, or all commands of a pipeline."""
    step = kept["steps"][path]
    if step["kind"] != "pipeline":
        return [path]
    return [
        other for other, inner in kept["steps"].items() if other.startswith(f"{path}.") and inner["kind"] != "pipeline"
    ]


def _worst(units: Iterable[Unit]) -> RunStatus:
    statuses = {unit.status for unit in units}
    return next((one for one in (RunStatus.FAILED, RunStatus.CANCELED) if one in statuses), RunStatus.COMPLETED)


def _as_told(
    kept: Document, path: str, step: Mapping[str, Any], units: list[Unit], *, pipeline: bool, all_of: int
) -> Told:
    over = (len(units) == all_of and all(unit.status in _DONE for unit in units)) or (kept.get("ended") and pipeline)
    ended = max(unit.ended for unit in units) if over else None
    return Told(
        path.rpartition(".")[2] or str(step["module"]),
        str(step["id"]),
        AZURE[_worst(units)] if over else "Running",
        min(unit.begun for unit in units),
        ended,
        "",
        path=path,
        module=str(step["module"]),
        pipeline=pipeline,
    )
