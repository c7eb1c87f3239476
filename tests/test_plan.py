"""Parameters with provenance, and everything wrong said before anything happens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import azft
from azft import ComponentInput, ConfigurationError, FineTuneSession, PlanError, UnknownNameError
from azft.backends.local.inputs import IGNORED_HERE, REFUSED_HERE
from azft.rules.engine import OWN_INPUTS
from azft.rules.engine_inputs import HONOURED
from azft.rules.inputs import Refused, encode, read_value
from azft.snapshot import chat_completion_pipeline


def session(**settings: object) -> FineTuneSession:
    return FineTuneSession(progress=False, **settings)  # type: ignore[arg-type]


def test_the_users_word_wins_and_the_plan_remembers_what_it_displaced() -> None:
    plan = session(parameters={"learning_rate": 1e-3}).plan()
    said = plan.explain("learning_rate")
    assert (said.value, said.source) == (1e-3, "user")
    assert [source for source, _value in said.displaced] == ["model defaults", "azft defaults", "component defaults"]
    assert str(said) == (
        "learning_rate = 0.001, from user; displaced 0.005 from model defaults, 5e-06 from azft defaults, "
        "2e-05 from component defaults"
    )


def test_a_plan_prints_what_was_decided_and_renders_in_a_notebook() -> None:
    plan = session().plan()
    text = str(plan)
    assert "Phi-3-mini-4k-instruct-ultrachat-200k" in text
    assert "stand-in" in text
    assert plan._repr_html_().count("<table>") >= 2
    assert not plan.errors


def test_planning_changes_nothing(tmp_path: Path) -> None:
    session().plan()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"learning_rat": 1e-3}, "did you mean 'learning_rate'?"),
        ({"precision": "4"}, "expected one of '32', '16'"),
        ({"lr_scheduler_type": "foo"}, "expected one of"),
        ({"num_train_epochs": -1}, "expected a whole number at least 1"),
        ({"num_train_epochs": 1.5}, "expected a whole number"),
        ({"learning_rate": 0}, "expected a number above 0"),
        ({"apply_lora": "maybe"}, "expected True or False"),
        ({"num_nodes_finetune": 2}, "there is one node here"),
        ({"apply_early_stopping": True, "evaluation_strategy": "disable"}, "apply_early_stopping"),
    ],
)
def test_a_wrong_parameter_stops_the_submit_with_its_reason(
    tmp_path: Path, parameters: dict[str, object], said: str
) -> None:
    with pytest.raises(PlanError) as caught:
        session(parameters=parameters).submit()
    assert said in str(caught.value)
    assert next(iter(parameters)) in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"model": "Phi-3-mini-4k-instruc"}, "did you mean 'Phi-3-mini-4k-instruct'?"),
        ({"dataset": "ultrachat"}, "did you mean 'ultrachat_"),
        ({"naming": "tutoriel"}, "did you mean 'tutorial'?"),
        ({"backend": "locale"}, "did you mean 'local'?"),
    ],
)
def test_an_unknown_name_gets_did_you_mean(settings: dict[str, object], said: str) -> None:
    with pytest.raises(UnknownNameError) as caught:
        session(**settings)
    assert said in str(caught.value)
    assert isinstance(caught.value, KeyError)


def test_an_unknown_compute_is_one_finding_among_all() -> None:
    plan = session(compute="gpu-cluster-big", parameters={"learning_rat": 1}).plan()
    assert {"AZFT-C001", "AZFT-P001"} == {finding.code for finding in plan.errors}
    validator = azft.ComputeValidator(azft.connect("local"))
    with pytest.raises(azft.ComputeError, match="no compute of that name"):
        validator.validate("gpu-cluster-big", plan.model)


def test_a_recipe_stands_between_the_user_and_the_model() -> None:
    plan = session(recipe="lora", parameters={"lora_alpha": 64}).plan()
    assert (plan.explain("lora_alpha").value, plan.explain("lora_alpha").source) == (64, "user")
    assert (plan.explain("learning_rate").value, plan.explain("learning_rate").source) == (2e-5, "recipe")
    assert plan.explain("learning_rate").displaced[0] == ("model defaults", 5e-3)
    with pytest.raises(UnknownNameError, match="did you mean 'quick'"):
        session(recipe="quik")


def test_a_plugin_brings_its_own_recipe() -> None:
    class Brisk:
        @azft.hookimpl
        def azft_recipes(self) -> list[azft.Recipe]:
            return [azft.Recipe("brisk", {"max_steps": 3})]

    plan = session(recipe="brisk", plugins=azft.load_plugins(Brisk())).plan()
    assert plan.forecast is not None
    assert plan.forecast.steps == plan.parameters["max_steps"] == 3


def test_a_plan_knows_how_long_it_takes_once_a_run_of_its_kind_was_watched(tmp_path: Path) -> None:
    settings: dict[str, object] = {"dataset": "ultrachat_sample", "percent": 8, "folder": tmp_path / "kept"}
    first = session(recipe="quick", parameters={"max_steps": 4, "logging_steps": 1}, **settings)
    plan = first.plan()
    assert plan.forecast is not None
    assert plan.forecast.seconds is None
    first.watch(first.submit(plan))
    prices = {plan.compute.size: 3600.0}
    again = session(parameters={"max_steps": 8}, prices=prices, **settings).plan().forecast
    assert again is not None
    assert again.seconds is not None
    assert again.cost is not None
    assert 0 < again.seconds[0] < again.seconds[1]
    assert again.cost[0] == pytest.approx(again.seconds[0])
    assert "earlier runs like it" in str(again)
    other = session(parameters={"max_steps": 8, "apply_lora": False}, **settings).plan().forecast
    assert other is not None
    assert other.seconds is None


def test_explaining_an_unknown_parameter_is_a_clear_error() -> None:
    with pytest.raises(ConfigurationError, match="no parameter 'learning'"):
        session().plan().explain("learning")


def test_every_input_of_the_component_is_honoured_ignored_or_refused_exactly_once() -> None:
    component = chat_completion_pipeline()
    assert len(component.inputs) == 69
    names = [*HONOURED, *IGNORED_HERE, *REFUSED_HERE]
    assert sorted(names) == sorted(spec.name for spec in component.inputs)
    assert not {spec.name for spec in OWN_INPUTS} & set(names)


NUMBER = ComponentInput("anything", "number", minimum=0, maximum=10)
WHOLE = ComponentInput("anything", "integer", minimum=0, maximum=10)
SWITCH = ComponentInput("anything", "string", enum=("true", "false"))


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())))
def test_any_value_is_read_or_refused_and_what_is_read_can_be_encoded_and_read_again(raw: object) -> None:
    for spec in (NUMBER, WHOLE, SWITCH):
        value = read_value(spec, raw)
        if isinstance(value, Refused):
            assert value.found
            assert value.expected
        else:
            assert read_value(spec, encode(spec, value)) == value


@given(st.integers(min_value=0, max_value=10))
def test_texts_that_registries_write_are_numbers(number: int) -> None:
    assert read_value(WHOLE, str(number)) == number
    assert read_value(NUMBER, f"{number}.0") == number


def test_a_plan_survives_json() -> None:
    plan = session(parameters={"learning_rate": 1e-3}).plan()
    assert azft.Plan.from_json(plan.to_json()) == plan


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"backend": "local"}', "null"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="not the JSON of a plan"):
        azft.Plan.from_json(text)


def test_two_plans_are_compared_in_words() -> None:
    plan = session().plan()
    other = session(parameters={"learning_rate": 1e-3, "lora_r": 16}, dataset="ultrachat_sample", percent=5).plan()
    said = plan.diff(other)
    assert plan.diff(plan) == ()
    assert "learning_rate: 0.005 (model defaults) became 0.001 (user)" in said
    assert "lora_r: 16 comes from user, no longer from model defaults" in said
    assert any(line.startswith("data: ultrachat_200k, 100 %") and "ultrachat_sample, 5 %" in line for line in said)
    assert any(line.startswith("gone: AZFT-D101") for line in said)


def test_an_error_can_be_accepted_by_its_code(tmp_path: Path) -> None:
    bold = session(parameters={"num_nodes_finetune": 2, "learning_rat": 1}, folder=tmp_path)
    plan = bold.plan()
    assert {finding.code for finding in plan.errors} == {"AZFT-P001", "AZFT-P102"}
    with pytest.raises(PlanError) as raised:
        bold.submit(plan, accept=["AZFT-P102"])
    assert [finding.code for finding in raised.value.findings] == ["AZFT-P001"]
    azft.PipelineBuilder().check(plan, accept=["AZFT-P001", "AZFT-P102"])
