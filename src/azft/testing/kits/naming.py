"""The promises of a naming scheme."""

from __future__ import annotations

from typing import ClassVar

from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from azft.domain.model import Model
from azft.domain.parameters import Parameters, ParameterValue, Resolved
from azft.domain.pipelines import PipelineTrainer
from azft.domain.specs import DatasetSpec, NamingContext, NamingScheme
from azft.domain.trainers import Trainer
from azft.rules.naming import name_findings

_PARAMETERS: dict[str, ParameterValue] = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "num_nodes_finetune": 1,
    "learning_rate": 5e-6,
    "lr_scheduler_type": "cosine",
    "apply_deepspeed": True,
    "deepspeed_stage": "2",
    "apply_lora": True,
    "save_total_limit": 1,
    "max_seq_length": -1,
    "max_steps": -1,
}


def _parameters(**more: ParameterValue) -> Parameters:
    return Parameters(tuple(Resolved(name, value, "kit") for name, value in {**_PARAMETERS, **more}.items()))


CONTEXT = NamingContext(
    Model("Phi-4", "7", "azureml://registries/azureml/models/Phi-4/versions/7"),
    DatasetSpec("ultrachat_200k", "hf://HuggingFaceH4/ultrachat_200k", label="ultrachat"),
    _parameters(),
)
"""A plan's names as the tutorial has them."""
_PARTS = st.text("abcXYZ019._-", min_size=1, max_size=40).map("m{}".format).filter(lambda text: ".." not in text)


class NamingKit:
    """Set `scheme`."""

    scheme: ClassVar[NamingScheme]

    def test_both_names_are_legal(self) -> None:
        """The display name can be shown, and the registered one is one that registries take."""
        self._check(CONTEXT)

    def test_the_same_context_gives_the_same_names(self) -> None:
        """Two plans of the same find each other; a time of day or a random part would hide them."""
        first = self._names(CONTEXT)
        assert all(self._names(CONTEXT) == first for _time in range(3))

    def test_other_data_is_registered_under_another_name(self) -> None:
        """Models of two datasets would be versions of each other."""
        other = evolve(CONTEXT, dataset=DatasetSpec("support_tickets", "file://tickets.jsonl"))
        assert self._names(other)[1] != self._names(CONTEXT)[1], "two datasets share a registered name"

    def test_another_model_is_registered_under_another_name(self) -> None:
        """Models of two families would be versions of each other."""
        other = evolve(CONTEXT, model=Model("Llama-3.1-8B"))
        assert self._names(other)[1] != self._names(CONTEXT)[1], "two base models share a registered name"

    def test_no_model_and_no_dataset_breaks_it(self) -> None:
        """Names of hubs have slashes, datasets have none or a long one, labels are missing."""

        @settings(max_examples=60, deadline=None)
        @given(st.lists(_PARTS, min_size=1, max_size=2), _PARTS, st.booleans())
        def any_names(model: list[str], dataset: str, labelled: bool) -> None:
            spec = DatasetSpec(dataset, "file://rows.jsonl", label="label" if labelled else "")
            self._check(evolve(CONTEXT, model=Model("/".join(model)), dataset=spec))

        any_names()

    def test_no_parameters_break_it(self) -> None:
        """A pipeline may have none of the inputs that the chat pipeline has, or leave them to the model."""
        for parameters in (Parameters(()), _parameters(**dict.fromkeys(_PARAMETERS)), _parameters(max_steps=20)):
            self._check(evolve(CONTEXT, parameters=parameters))

    def test_other_pipelines_have_names_too(self) -> None:
        """Not every run is a chat model's."""
        trainer = Trainer.of(PipelineTrainer("text_classification_pipeline", rows="text_classification"))
        self._check(evolve(CONTEXT, trainer=trainer, parameters=Parameters(())))

    def test_names_are_texts(self) -> None:
        """Not bytes, not numbers, not a list of parts."""
        for name in self._names(CONTEXT):
            assert isinstance(name, str), f"{name!r} is {type(name).__name__}"

    def test_a_registered_name_is_no_path(self) -> None:
        """It becomes a part of addresses and of file names."""
        name = str(self._names(evolve(CONTEXT, model=Model("owner/name")))[1])
        assert not {"/", "\\", ".."} & {name[at : at + length] for at in range(len(name)) for length in (1, 2)}

    def test_the_context_is_left_as_it_is(self) -> None:
        """It belongs to the plan."""
        before = repr(CONTEXT)
        self._names(CONTEXT)
        assert repr(CONTEXT) == before

    def _names(self, context: NamingContext) -> tuple[str, str]:
        return self.scheme.display_name(context), self.scheme.model_name(context)

    def _check(self, context: NamingContext) -> None:
        shown = f"model {context.model.name!r}, dataset {context.dataset.name!r}"
        try:
            names = self._names(context)
        except Exception as error:
            raise AssertionError(f"{shown}: {type(error).__name__}: {error}") from error
        assert all(isinstance(name, str) for name in names), f"{shown}: {names}"
        assert not name_findings(*names), f"{shown}: {name_findings(*names)[0]}"
