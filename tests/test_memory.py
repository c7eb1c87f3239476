"""The memory estimate against peaks that torch counts, and what follows from it."""

from __future__ import annotations

import pytest
from attrs import evolve

from azft.domain.architecture import Architecture
from azft.domain.parameters import Layer, Parameters, ParameterValue
from azft.rules.memory import (
    BAND,
    RESERVE_GIB,
    Training,
    fit_findings,
    host_findings,
    host_memory,
    memory_estimate,
    row_length,
    training_of,
)
from azft.rules.parameters import USER, resolve
from azft.snapshot import architectures, chat_completion_pipeline
from benchmarks.memory import SHAPES, Case, cases, estimated, measured

PHI3 = architectures()["Phi-3-mini-4k-instruct"]
HALF = Training(8, "half", 2, 1, batch=1, sequence=2048, checkpointing=True)


@pytest.mark.parametrize("case", list(cases(SHAPES[::3])), ids=str)
def test_the_estimate_is_within_its_band(case: Case) -> None:
    assert estimated(case) == pytest.approx(measured(case), rel=BAND)


@pytest.mark.parametrize(
    ("name", "billions"),
    [("Phi-3-mini-4k-instruct", 3.82), ("Phi-4", 14.66), ("Llama-2-7b-chat", 6.74), ("Phi-3.5-MoE-instruct", 41.87)],
)
def test_shapes_have_the_published_number_of_weights(name: str, billions: float) -> None:
    assert architectures()[name].parameters / 1e9 == pytest.approx(billions, rel=0.01)


def test_more_of_anything_takes_more_memory() -> None:
    less = memory_estimate(PHI3, HALF).total
    for more in ({"batch": 4}, {"sequence": 4096}, {"checkpointing": False}, {"regime": "32"}, {"lora_rank": 0}):
        assert memory_estimate(PHI3, evolve(HALF, **more)).total > less, more
    assert memory_estimate(PHI3, evolve(HALF, stage=3, devices=8)).total < less


def test_a_job_that_cannot_fit_is_an_error_with_cures() -> None:
    whole = evolve(HALF, lora_rank=0, regime="32", stage=0, batch=4)
    (finding,) = fit_findings(PHI3, whole, 16.0, "v100")
    assert (finding.code, finding.severity) == ("AZFT-G001", "error")
    assert "apply_lora=True" in finding.fix
    assert "precision='16'" in finding.fix
    assert fit_findings(PHI3, HALF, 80.0, "a100") == ()
    just = memory_estimate(PHI3, HALF).total + RESERVE_GIB
    assert fit_findings(PHI3, HALF, just, "small")[0].code == "AZFT-G002"


def test_experts_count_as_weights() -> None:
    one = Architecture(64, 2, 2, 2, 128, 100, 128)
    assert evolve(one, experts=4).parameters > 2 * one.parameters


# Rows P1 and P2 of the table of cases: what is put into the formula.


def defaults(**values: ParameterValue) -> Parameters:
    """Return the pipeline's parameters with some of them set by the user."""
    return resolve((Layer(USER, values),), chat_completion_pipeline())[0]


def test_the_longest_row_that_comes_decides() -> None:
    parameters = defaults()
    assert row_length(PHI3, parameters, 500.0, longest=3_000) == 3_000
    assert row_length(PHI3, parameters, 500.0, longest=12_000) == PHI3.context
    assert row_length(PHI3, parameters, 500.0) == 4 * 500
    assert row_length(PHI3, defaults(max_seq_length=1024), 500.0, longest=3_000) == 1024
    assert row_length(PHI3, defaults(pad_to_max_length=True), 500.0, longest=600) == PHI3.context


def test_an_evaluation_of_many_rows_at_once_does_not_fit() -> None:
    how = training_of(defaults(per_device_eval_batch_size=4096, apply_lora=True), devices=1, sequence=2048)
    assert how.evaluated == 4096
    assert fit_findings(PHI3, how, 80.0, "a100")[0].code == "AZFT-G001"


@pytest.mark.parametrize(
    ("stage", "gib"),
    # DeepSpeed 0.15: estimate_zero2_model_states_mem_needs (16 bytes) and estimate_zero3 (18), buffers 1.5, 14.66e9.
    [(2, (218, 328)), (3, (246, 369)), (0, (0, 0))],
)
def test_deepspeed_takes_host_memory(stage: int, gib: tuple[int, int]) -> None:
    phi4 = architectures()["Phi-4"]
    found = host_memory(phi4, evolve(HALF, lora_rank=0, stage=stage), nodes=1)
    assert found == pytest.approx(gib, rel=0.01)
    assert host_memory(phi4, evolve(HALF, lora_rank=0, stage=stage), nodes=2) == pytest.approx(
        tuple(end / 2 for end in gib), rel=0.01
    )


def test_a_machine_whose_host_memory_is_too_small_is_refused_and_loses() -> None:
    whole = evolve(HALF, lora_rank=0)
    phi4 = architectures()["Phi-4"]
    (finding,) = host_findings(phi4, whole, nodes=1, memory_gib=180.0, subject="nc24")
    assert (finding.code, finding.severity) == ("AZFT-G003", "error")
    (finding,) = host_findings(phi4, whole, nodes=1, memory_gib=220.0, subject="nc24")
    assert (finding.code, finding.severity) == ("AZFT-G004", "warning")
    assert host_findings(phi4, whole, nodes=1, memory_gib=900.0, subject="nd96") == ()
    assert host_findings(phi4, HALF, nodes=1, memory_gib=220.0, subject="nc24") == ()
    assert host_findings(phi4, whole, nodes=1, memory_gib=0.0, subject="unknown") == ()
