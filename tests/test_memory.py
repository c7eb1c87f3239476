"""The memory estimate against peaks that torch counts, and what follows from it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from attrs import evolve

from azft import FineTuneSession, ModelSpec
from azft.domain.architecture import Architecture
from azft.domain.parameters import Layer, Parameters, ParameterValue
from azft.rules.engine_memory import memory_findings
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
from azft.snapshot import architecture_of, architectures, chat_completion_pipeline
from azft.testing.contract import SAMPLE
from benchmarks.memory import SHAPES, Case, cases, estimated, full_cases, measured
from tests.small_runs import replaced
from tests.test_local_backend import own_model

PHI3 = architectures()["Phi-3-mini-4k-instruct"]
HALF = Training(8, "half", 2, 1, batch=1, sequence=2048, checkpointing=True)


@pytest.mark.parametrize(
    "case",
    [
        *cases(SHAPES[:1]),
        *(pytest.param(case, marks=pytest.mark.slow, id=str(case)) for case in cases(SHAPES[3::3])),
    ],
    ids=str,
)
def test_the_estimate_is_within_its_band(case: Case) -> None:
    assert estimated(case) == pytest.approx(measured(case), rel=BAND)


@pytest.mark.slow
@pytest.mark.parametrize("case", list(full_cases())[::9], ids=str)
def test_the_estimate_is_within_its_band_at_full_size(case: Case) -> None:
    assert estimated(case) == pytest.approx(measured(case), rel=BAND)


@pytest.mark.parametrize(
    ("name", "billions"),
    # As the cards of the models say, or the sizes of their safetensors at huggingface.co.
    [
        ("Phi-3-mini-4k-instruct", 3.82),
        ("Phi-4", 14.66),
        ("Phi-3.5-MoE-instruct", 41.87),
        ("Llama-2-7b-chat", 6.74),
        ("Llama-2-13b-chat-hf", 13.02),
        ("Llama-2-70b", 68.98),
        ("meta-llama/Meta-Llama-3-8B-Instruct", 8.03),
        ("Meta-Llama-3-70B", 70.55),
        ("Llama-3.1-8B-Instruct", 8.03),
        ("Llama-3.2-1B-Instruct", 1.24),
        ("Llama-3.2-3B", 3.21),
        ("mistralai-Mistral-7B-Instruct-v01", 7.24),
        ("mistralai/Mixtral-8x7B-v0.1", 46.70),
        ("Qwen/Qwen2.5-0.5B-Instruct", 0.494),
        ("Qwen2.5-1.5B", 1.54),
        ("Qwen2.5-7B-Instruct", 7.62),
        ("Qwen2.5-14B", 14.77),
        ("Qwen2.5-72B", 72.71),
        ("Qwen3-8B", 8.19),
        ("Qwen3-32B", 32.76),
        ("google/gemma-2-2b-it", 2.61),
        ("gemma-2-9b-it", 9.24),
        ("google-gemma-2-27b", 27.23),
        ("gemma-7b", 8.54),
        ("gemma-3-1b-it", 1.00),
    ],
)
def test_shapes_have_the_published_number_of_weights(name: str, billions: float) -> None:
    shape = architecture_of(name)
    assert shape is not None
    assert shape.parameters / 1e9 == pytest.approx(billions, rel=0.01)


@pytest.mark.parametrize("name", ["Mistral-8B", "Qwen2.5-7B-Coder", "my-Llama-3.1-8B", "gemma-2", ""])
def test_a_model_that_is_only_called_alike_has_no_known_shape(name: str) -> None:
    assert architecture_of(name) is None


# Row P3: which kinds of model compute activations again.


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("llama", {"apply_lora": True, "apply_deepspeed": True}, (True, True)),
        ("llama", {"apply_lora": True, "apply_deepspeed": False}, (False, True)),
        ("mistral", {"apply_lora": False, "apply_deepspeed": False}, (True, True)),
        ("phi3", {"apply_lora": True, "apply_deepspeed": True}, (False, False)),
        ("phi3", {"apply_lora": True, "apply_deepspeed": False}, (False, True)),
        ("", {"apply_lora": False, "apply_deepspeed": True}, (False, False)),
    ],
)
def test_activations_are_computed_again_for_the_kinds_that_the_component_names(
    kind: str, values: dict[str, ParameterValue], expected: tuple[bool, bool]
) -> None:
    how = training_of(defaults(**values), kind=kind, devices=1, sequence=4096)
    assert (how.checkpointing, how.certain) == expected


def test_what_is_not_known_widens_the_estimate_and_is_said() -> None:
    phi4 = architectures()["Phi-4"]
    both: dict[str, ParameterValue] = {
        "apply_lora": True,
        "apply_deepspeed": True,
        "precision": "16",
        "deepspeed_stage": "2",
    }
    how = training_of(defaults(**both), kind=phi4.kind, devices=1, sequence=8192)
    estimate = memory_estimate(phi4, how)
    sure = evolve(how, certain=True)
    assert estimate.high == memory_estimate(phi4, sure).high
    assert estimate.low == memory_estimate(phi4, evolve(sure, checkpointing=True)).low
    (finding,) = fit_findings(phi4, how, 80.0, "a100")
    assert (finding.code, finding.severity) == ("AZFT-G002", "warning")
    assert "which is not known for this kind of model" in finding.found


# This machine.


def test_the_memory_of_this_machine_is_in_the_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = replaced(own_model(tmp_path / "weights"), "llama")
    config = json.loads((weights / "config.json").read_text())
    large = {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32}
    (weights / "config.json").write_text(json.dumps({**config, **large, "vocab_size": 128_256}))

    def found(gib: float, **parameters: ParameterValue) -> list[str]:
        monkeypatch.setattr("psutil.virtual_memory", lambda: SimpleNamespace(total=gib * 2**30, available=gib * 2**30))
        session = FineTuneSession(
            ModelSpec("mine", weights=str(weights)),
            SAMPLE,
            parameters={"precision": "32", "apply_deepspeed": False, **parameters},
            folder=tmp_path / "home",
            progress=False,
        )
        return [str(finding) for finding in session.plan().findings if finding.code.startswith("AZFT-G")]

    (said,) = found(64.0, apply_lora=False)
    assert said.startswith("AZFT-G001")
    assert "at most 62 of 64 GiB of memory" in said
    assert found(512.0, apply_lora=False) == []
    assert found(64.0, apply_lora=True) == []
    (said,) = found(64.0, apply_lora=True, processes=2)
    assert "of 32 GiB of memory for each of 2" in said
    assert "a machine with more memory" in said
    assert "GPU" not in said


def test_what_many_gpus_train_must_fit_on_the_one_that_evaluates_it(tmp_path: Path) -> None:
    weights = own_model(tmp_path / "weights")
    parameters: dict[str, ParameterValue] = {"apply_lora": False, "precision": "16"}
    plan = FineTuneSession(
        ModelSpec("mine", weights=str(weights)), SAMPLE, parameters=parameters, folder=tmp_path / "home", progress=False
    ).plan()

    def found(gpus: int, gib: float) -> list[str]:
        shape = architectures()["Llama-2-7b"]
        model = evolve(plan.model, architecture=evolve(shape, layers=10 * shape.layers))
        compute = evolve(plan.compute, gpus=gpus, gpu_memory_gib=gib)
        return [finding.code for finding in memory_findings(evolve(plan, model=model, compute=compute))]

    assert "AZFT-G005" in found(64, 80.0)
    assert "AZFT-G005" not in found(64, 160.0)
    assert "AZFT-G005" not in found(1, 80.0)


def test_weights_that_are_sharded_are_counted_once_among_the_processes() -> None:
    llama = architectures()["Llama-2-7b"]
    whole = Training(0, "mixed", 0, 1, batch=1, sequence=2048, checkpointing=True)
    assert memory_estimate(llama, whole).fit(80.0) == "no"
    assert memory_estimate(llama, evolve(whole, sharded=8)).fit(80.0) == "fits"


def test_experts_stay_in_16_bit() -> None:
    mixtral = architectures()["Mixtral-8x7B"]
    how = Training(8, "half", 0, 1, batch=1, sequence=2048, checkpointing=True, four_bit=True)
    assert memory_estimate(mixtral, how).weights > 80
    assert 3.5 < memory_estimate(architectures()["Mistral-7B"], how).weights < 4.5


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
    how = training_of(
        defaults(per_device_eval_batch_size=4096, apply_lora=True), kind="llama", devices=1, sequence=2048
    )
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
