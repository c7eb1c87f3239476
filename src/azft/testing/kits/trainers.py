"""The promises of a trainer: a pipeline of a registry, or a script."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from typing import ClassVar

from azft.domain.component import Component
from azft.domain.parameters import Layer
from azft.domain.pipelines import PipelineTrainer
from azft.domain.row_formats import RowFormat
from azft.domain.trainers import Script, Trainer
from azft.rules.inputs import Refused, read_value
from azft.rules.parameters import AZFT, resolve
from azft.rules.pipelines import layer_of
from azft.rules.roles import filled, missing_roles, roles_of, unknown_roles
from azft.rules.suggest import near
from azft.snapshot import registry_models, registry_pipelines, snapshot_card

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")
_LAUNCHERS = (
    "torchrun",
    "torch.distributed.launch",
    "torch.distributed.run",
    "accelerate.commands.launch",
    "deepspeed",
)


class TrainerKit:
    """Set `trainer`, and for a pipeline `component`, whose inputs it is for (azft's table of the registry without).

    `formats` are row formats that your plugin offers itself.
    """

    trainer: ClassVar[Trainer | PipelineTrainer | Script]
    component: ClassVar[Component | None] = None
    formats: ClassVar[Iterable[RowFormat]] = ()

    def test_its_name_can_be_one(self) -> None:
        """It is typed by users, and stands in tags."""
        assert _NAME.fullmatch(self._made.name), f"name {self._made.name!r}"

    def test_it_is_one_thing(self) -> None:
        """A script or a pipeline; azft's own names stand for themselves."""
        assert (self._made.script is None) != (self._made.pipeline is None), "neither a script nor a pipeline, or both"

    def test_its_row_format_is_known(self) -> None:
        """One of azft's, or of the plugin's own."""
        pipeline = self._made.pipeline
        if pipeline is not None:
            assert pipeline.rows in self._formats, (
                f"no row format {pipeline.rows!r}; {near(pipeline.rows, self._formats)}"
            )

    def test_its_component_is_known(self) -> None:
        """Whoever tests a pipeline that azft does not know gives its inputs."""
        if self._made.pipeline is not None:
            assert self._declared is not None, f"azft does not know {self._made.pipeline.component}: set component"

    def test_every_role_is_found_or_named(self) -> None:
        """Model, training data and output: by the declared inputs, or by `roles` and `lacks`."""
        if self._pipeline:
            trainer, component = self._pipeline
            assert not missing_roles(component, trainer), f"nobody says: {', '.join(missing_roles(component, trainer))}"

    def test_what_it_names_is_declared(self) -> None:
        """Roles and keys are inputs of the component, and the output is one of its outputs."""
        if self._pipeline:
            trainer, component = self._pipeline
            assert not unknown_roles(component, trainer), (
                f"not declared: {', '.join(unknown_roles(component, trainer))}"
            )

    def test_its_parameters_are_inputs_with_values_that_fit(self) -> None:
        """Types, ranges and words are those that the component declares."""
        if self._pipeline:
            trainer, component = self._pipeline
            for name, value in trainer.parameters.items():
                known = component.input(name)
                assert known is not None, f"{name} is no input of {component.name}"
                read = read_value(known, value)
                assert not isinstance(read, Refused), f"{name} is {value!r}, expected {read}"

    def test_its_parameters_leave_what_azft_fills_alone(self) -> None:
        """Model, data and machines are the user's, and checked by the plan."""
        if self._pipeline:
            trainer, component = self._pipeline
            taken = set(trainer.parameters) & (
                filled(roles_of(component, trainer.roles)) - {roles_of(component, trainer.roles).gpus}
            )
            assert not taken, f"{', '.join(sorted(taken))} are filled by azft"

    def test_its_keys_name_columns_of_its_rows(self) -> None:
        """A column that the prepared rows do not have would fail the job after it was paid for."""
        if self._pipeline:
            trainer, _component = self._pipeline
            form = self._formats.get(trainer.rows)
            if form is not None and not (form.as_is or form.chats):
                wrong = {key: column for key, column in trainer.keys.items() if column not in form.names}
                assert not wrong, f"{wrong}: the rows have {', '.join(form.names)}"

    def test_its_task_is_one_of_the_registrys(self) -> None:
        """The word that models' cards use, so that a model for another task is told."""
        pipeline = self._made.pipeline
        if pipeline is not None and pipeline.task:
            known = {task for entry in registry_models() for task in snapshot_card(entry.name).tasks.value or ()}
            assert pipeline.task in known, f"no card has the task {pipeline.task!r}; {near(pipeline.task, known)}"

    def test_nothing_that_is_required_is_left_open(self) -> None:
        """A required input has a default, a parameter, a key, or a role; another one is every user's to give."""
        if self._pipeline:
            trainer, component = self._pipeline
            form = self._formats.get(trainer.rows)
            if form is not None:
                layer = Layer(AZFT, layer_of(trainer, form, component))
                _made, problems = resolve([layer], component, filled(roles_of(component, trainer.roles)))
                assets = {entry.name for entry in component.inputs if entry.is_asset}
                missing = [one.name for one in problems if one.code == "AZFT-P006" and one.name not in assets]
                assert not missing, f"required and given by nobody: {', '.join(missing)}"

    def test_its_script_is_there_and_is_python(self) -> None:
        """It goes along with its folder, and packages have versions."""
        if self._made.script is not None:
            self._made.script.check()
            ast.parse(self._made.script.path.read_text(encoding="utf-8"))

    def test_its_script_asks_for_its_task_and_saves(self) -> None:
        """Without that it trains on nothing of the plan, and nobody finds what it has made."""
        if self._made.script is not None:
            text = self._made.script.path.read_text(encoding="utf-8")
            assert "current_task" in text, "it never asks azft.training.current_task()"
            assert ".save(" in text, "it never saves: task.save(model)"

    def test_its_script_starts_no_processes_itself(self) -> None:
        """There is one for each GPU already; a launcher would start as many again."""
        if self._made.script is not None:
            said = self._made.script.path.read_text(encoding="utf-8") + " ".join(self._made.script.arguments)
            found = [name for name in _LAUNCHERS if name in said]
            assert not found, f"it starts {found[0]}, and azft starts the processes"

    @property
    def _made(self) -> Trainer:
        return Trainer.of(self.trainer)

    @property
    def _declared(self) -> Component | None:
        if self.component is not None or self._made.pipeline is None:
            return self.component
        known = registry_pipelines().get(self._made.pipeline.component)
        return known.component if known else None

    @property
    def _pipeline(self) -> tuple[PipelineTrainer, Component] | None:
        pipeline, declared = self._made.pipeline, self._declared
        return None if pipeline is None or declared is None else (pipeline, declared)

    @property
    def _formats(self) -> dict[str, RowFormat]:
        from azft.builtin.row_formats import azft_row_formats

        return {form.name: form for form in (*azft_row_formats(), *self.formats)}
