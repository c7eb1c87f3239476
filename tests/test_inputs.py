"""All inputs of the component, type by type; and the same resolver for another pipeline."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azft import Component, ComponentInput
from azft.domain.parameters import Layer
from azft.rules.inputs import ILLEGAL_CHARACTERS, Refused, encode, read_value
from azft.rules.parameters import MODEL, RECIPE, USER, resolve
from azft.snapshot import chat_completion_pipeline

INPUTS = chat_completion_pipeline().inputs
ANYTHING = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=30), st.lists(st.integers()), st.binary()
)
PYTHON: dict[str, tuple[type, ...]] = {"integer": (int,), "number": (int, float)}


def test_there_are_69() -> None:
    assert len(INPUTS) == 69


@pytest.mark.parametrize("spec", INPUTS, ids=lambda spec: str(spec.name))
def test_what_is_accepted_is_encoded_as_the_component_expects_and_the_rest_is_refused(spec: ComponentInput) -> None:
    likely: list[Any] = [*spec.enum, spec.default, True, False, "true", "False", -1, 0, 1, 0.5, "5e-6"]

    @given(st.one_of(st.sampled_from(likely), ANYTHING))
    @settings(max_examples=150, deadline=None)
    def check(raw: object) -> None:
        value = read_value(spec, raw)
        if isinstance(value, Refused):
            assert value.expected
            assert value.code.startswith("AZFT-P00")
            return
        sent = encode(spec, value)
        if sent is None:
            assert spec.optional
        elif spec.is_flag:
            assert sent in {"true", "false"}
        elif spec.type in PYTHON:
            assert isinstance(sent, PYTHON[spec.type])
            assert isinstance(sent, int | float)
            assert not isinstance(sent, bool)
            assert spec.minimum is None or sent >= spec.minimum
            assert spec.maximum is None or sent <= spec.maximum
        else:
            assert isinstance(sent, str)
            assert not set(ILLEGAL_CHARACTERS) & set(sent)
            assert not spec.enum or sent in spec.enum

    check()


@pytest.mark.parametrize("spec", INPUTS, ids=lambda spec: str(spec.name))
def test_the_components_own_default_is_accepted(spec: ComponentInput) -> None:
    assert not isinstance(read_value(spec, spec.default), Refused)


@pytest.fixture
def text_classification() -> Component:
    """Return a pipeline of another task, from nothing but its list of inputs."""
    path = Path(__file__).parent / "data" / "text_classification_pipeline.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    inputs = tuple(
        ComponentInput(
            entry["name"],
            entry["type"],
            entry["default"],
            tuple(entry["enum"] or ()),
            entry["min"],
            entry["max"],
            bool(entry["optional"]),
        )
        for entry in found["inputs"]
    )
    return Component(found["name"], found["version"], inputs)


def test_another_pipeline_is_resolved_by_its_own_inputs(text_classification: Component) -> None:
    given_values = {"sentence1_key": "text", "label_key": "label", "num_train_epochs": "2"}
    layers = [
        Layer(USER, given_values),
        Layer(RECIPE, {"num_train_epochs": 9}),
        Layer(MODEL, {"learning_rate": "5e-6"}),
    ]
    parameters, problems = resolve(layers, text_classification)
    assert problems == ()
    assert (parameters["sentence1_key"], parameters["num_train_epochs"], parameters["learning_rate"]) == (
        "text",
        2,
        5e-6,
    )
    assert parameters.explain("num_train_epochs").displaced[0] == ("recipe", 9)
    assert "num_train_epochs" in str(parameters)
    assert parameters._repr_html_().count("<table>") == 1


def test_another_pipelines_required_keys_are_asked_for(text_classification: Component) -> None:
    _parameters, problems = resolve([Layer(USER, {"sentence1_ky": "text"})], text_classification)
    said = {problem.name: problem.code for problem in problems}
    assert said == {"sentence1_ky": "AZFT-P001", "sentence1_key": "AZFT-P006", "label_key": "AZFT-P006"}
    assert "did you mean 'sentence1_key'?" in {problem.fix for problem in problems}
