"""A job as a plain value: print it, test it, store it, submit it."""

from __future__ import annotations

from collections.abc import Mapping

from attrs import field, frozen

from azft.domain.compute import Compute
from azft.domain.data import PreparedData
from azft.domain.mappings import copied
from azft.domain.model import Model
from azft.domain.parameters import Parameters
from azft.domain.sdk_script import sdk_script
from azft.domain.trainers import Trainer
from azft.errors import UnsupportedError
from azft.views.description import More, View, Viewed, facts


@frozen(repr=False)
class Job(Viewed):
    """Everything a backend needs to fine-tune: the model, prepared data, resolved parameters, compute and names.

    `key` is a digest of all that decides what the run makes, and `id` the name the run is to have; a backend names a
    job that has none. `trainer` is what trains. Of a pipeline, `inputs` is what the component is told beside model and
    data, as it wants it, `assets` are the types and paths of model and data by input, `files` the splits by the inputs
    that take them, and `output` is the output that is the tuned model.
    """

    display_name: str
    model_name: str
    experiment: str
    model: Model
    data: PreparedData
    compute: Compute
    component: str
    component_version: str
    parameters: Parameters
    tags: Mapping[str, str] = field(converter=copied, factory=dict)
    key: str = ""
    id: str = ""
    inputs: Mapping[str, str | int | float] = field(converter=copied, factory=dict)
    trainer: Trainer = field(factory=Trainer)
    assets: Mapping[str, tuple[str, str]] = field(converter=copied, factory=dict)
    files: Mapping[str, str] = field(converter=copied, factory=dict)
    output: str = ""

    def to_sdk(self) -> str:
        """Return a script of plain azure-ai-ml calls that submits the same job, without azft.

        `UnsupportedError` for a model that no registry has, and where azft's engine or a script of one's own trains.
        """
        if self.trainer.own:
            raise UnsupportedError(
                f"no script without azft can be written for trainer {self.trainer.name!r}: its job runs azft's code",
                hint="trainer='chat_completion_pipeline' has one",
            )
        if not self.model.id.startswith("azureml://") or self.model.stand_in or self.model.weights:
            why = (
                "a stand-in for it is tuned on this machine"
                if self.model.stand_in
                else "its weights are on this machine"
            )
            raise UnsupportedError(
                f"no job of Azure ML can be written for {self.model.name}: {why}",
                hint="plan with backend=azft.connect('azureml')",
            )
        return sdk_script(self)

    def view(self) -> View:
        """Describe the job: what is trained on what and where, and all parameters on demand."""
        rows = [
            ("model", f"{self.model.name} {self.model.version}".strip()),
            ("data", str(self.data)),
            ("compute", f"{self.compute.name} ({self.compute.size})"),
            ("component", f"{self.component} {self.component_version}"),
            *([("trainer", str(self.trainer))] if self.trainer.script else []),
            ("experiment", self.experiment),
            ("registers as", self.model_name),
            ("id", self.id or "given by the backend"),
        ]
        every = More(f"All {len(self.parameters)} parameters", self.parameters.view().parts, "print(job.parameters)")
        return View("Job", self.display_name, (facts(self.display_name, rows), every))
