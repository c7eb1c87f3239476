"""The memory estimate against peaks that torch counts, and what follows from it."""

from __future__ import annotations

import pytest
from attrs import evolve

from azft.domain.architecture import Architecture
from azft.rules.memory import BAND, RESERVE_GIB, Training, fit_findings, memory_estimate
from azft.snapshot import architectures
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
