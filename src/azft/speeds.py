"""How fast runs went, kept in a folder, so that the next plan can say how long it will take."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attrs import evolve, field, frozen

from azft.domain.jsonable import from_json, to_json
from azft.domain.mappings import copied
from azft.domain.plan import Plan
from azft.domain.run import RunEvent
from azft.files import write_whole
from azft.rules.devices import processes_used
from azft.rules.forecast import rows_in_a_step

KEPT = 5
SPREAD = 0.25
"""The band around a speed that was measured once."""


@frozen
class Known:
    """The file: runs by their kind until they have ended, and the last speeds of each kind."""

    runs: Mapping[str, str] = field(converter=copied, factory=dict)
    speeds: Mapping[str, tuple[float, ...]] = field(converter=copied, factory=dict)


class Speeds:
    """Tokens in a second by what decides them: place, machine, nodes and processes, model, method and precision.

    A run's kind is remembered when it is submitted, its speed when it has been watched to its end.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / "speeds.json"

    def expect(self, run_id: str, plan: Plan) -> None:
        """Remember what kind of run this is."""
        known = self._read()
        self._write(evolve(known, runs={**known.runs, run_id: kind_of(plan)}))

    def learn(self, run_id: str, speed: float) -> None:
        """Remember how fast the run went, in tokens a second; a run of unknown kind teaches nothing."""
        known = self._read()
        kind = known.runs.get(run_id)
        if kind is not None and speed > 0:
            last = (*known.speeds.get(kind, ()), speed)[-KEPT:]
            runs = {name: other for name, other in known.runs.items() if name != run_id}
            self._write(Known(runs, {**known.speeds, kind: last}))

    def of(self, plan: Plan) -> tuple[float, float] | None:
        """Return the slowest and fastest of the last runs of the plan's kind, None if there was none."""
        measured = self._read().speeds.get(kind_of(plan), ())
        return (min(measured) * (1 - SPREAD), max(measured) * (1 + SPREAD)) if measured else None

    def _read(self) -> Known:
        return from_json(Known, self._path.read_bytes()) if self._path.is_file() else Known()

    def _write(self, known: Known) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, to_json(known))


class Stopwatch:
    """Listens to a run's events and keeps the mean of the speeds it tells."""

    def __init__(self) -> None:
        self._told: list[float] = []

    def hear(self, event: RunEvent) -> None:
        """Take one event."""
        if event.kind == "progress" and "tokens_per_second" in event.values:
            self._told.append(event.values["tokens_per_second"])

    @property
    def speed(self) -> float:
        """Tokens a second, 0 if no event told it."""
        return sum(self._told) / len(self._told) if self._told else 0.0


def kind_of(plan: Plan) -> str:
    """Return what decides a run's speed, as one text."""
    given = plan.parameters
    method = "lora" if "apply_lora" in given and given.flag("apply_lora") else "full"
    precision = given.text("precision") if "precision" in given else ""
    batch = rows_in_a_step(given, 1) if not plan.trainer.tunes.chats else given.integer("per_device_train_batch_size")
    model = f"{plan.model.name}{' stand-in' if plan.model.stand_in else ''}"
    more = [f"{plan.nodes} nodes"] if plan.nodes > 1 else []
    processes = processes_used(plan.parameters, plan.compute.gpus)
    if processes != max(plan.compute.gpus, 1):
        more.append(f"{processes} processes")
    if not plan.trainer.tunes.chats:
        more.append(plan.trainer.tunes.component)
    if plan.trainer.script is not None:
        more.append(f"script {plan.trainer.name}")
    return " | ".join([plan.backend, plan.compute.size, model, method, precision, str(batch), *more])
