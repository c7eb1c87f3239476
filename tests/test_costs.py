"""Time and money of a first plan (rows P6 and P7), against prices and speeds that others have published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from azft import Compute, FineTuneSession, Model, ModelSpec
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.machines import withdrawn
from azft.domain.architecture import Architecture
from azft.domain.compute import machines
from azft.domain.forecast import Forecast
from azft.rules.compute import compute_findings
from azft.rules.costs import HOUR, budget_findings
from azft.rules.throughput import Published, operations, utilisation
from azft.snapshot import list_prices, machine, published_speeds, virtual_machines
from azft.testing.emulator import AzureMLEmulator
from tests.workspaces import SIZE

pytestmark = pytest.mark.shared
# The models' own configurations on the hub: hidden, layers, heads, key heads, intermediate, vocabulary, context.
SHAPES = {
    "Llama-2-7B": Architecture(4096, 32, 32, 32, 11008, 32000, 4096),
    "Llama-2-13B": Architecture(5120, 40, 40, 40, 13824, 32000, 4096),
    "Llama-3-8B": Architecture(4096, 32, 32, 8, 14336, 128256, 8192),
    "Llama-2-70B": Architecture(8192, 80, 64, 8, 28672, 32000, 4096),
}
# Dense 16-bit TFLOPS, NVIDIA's data sheets; fp8 counts double.
PEAKS = {"A100": 312, "H100": 989, "H100fp8": 1979, "A10G": 70, "T4": 65}


def test_the_published_utilisations_are_what_their_speeds_say() -> None:
    seen = 0
    for row in published_speeds():
        shape = SHAPES.get(row.model)
        if shape is None:
            continue
        lora = row.method != "full"
        per_token = operations(shape, lora=lora, sequence=row.sequence, checkpointing=row.checkpointing)
        used = row.tokens_per_second * per_token / (row.gpus * PEAKS[row.gpu] * 1e12) * 100
        assert used == pytest.approx(row.utilisation, rel=0.08), row
        seen += 1
    assert seen >= 12


def test_most_published_speeds_fall_into_the_band_when_their_whole_source_is_left_out() -> None:
    rows = published_speeds()
    inside = 0
    for row in rows:
        others = [other for other in rows if other.source != row.source]
        band = utilisation(row.gpu, row.method, others, large=row.large)
        inside += band.low <= row.utilisation <= band.high
    assert len(rows) >= 70
    assert inside / len(rows) >= 0.6


def test_a_gpu_nobody_has_published_gets_a_guess_and_says_so() -> None:
    assert "a guess" in utilisation("MI300X", "LoRA", published_speeds(), large=True).grounds
    assert "a guess" in utilisation("V100", "LoRA", published_speeds(), large=True).grounds
    assert "published speeds of A100" in utilisation("A100", "LoRA", published_speeds(), large=True).grounds


# Azure's pay-as-you-go prices of 2026-06-18, Linux, dedicated.
@pytest.mark.parametrize(
    ("region", "size", "price"),
    [
        ("eastus", "Standard_NC24ads_A100_v4", 3.673),
        ("East US", "standard_nc40ads_h100_v5", 6.98),
        ("eastus", "Standard_ND96isr_H100_v5", 98.32),
        ("eastus2", "Standard_ND96isr_H200_v5", 84.80),
        ("nowhere", "Standard_NC24ads_A100_v4", None),
        ("eastus", "Standard_D2_v2", None),
    ],
)
def test_prices_are_those_of_the_region(region: str, size: str, price: float | None) -> None:
    assert list_prices(region).of(size) == price
    assert "2026-06-18" in list_prices(region).label


# Microsoft's pages of GPU sizes: GPUs, kind, memory of each, peak of what the size has.
@pytest.mark.parametrize(
    ("size", "gpus", "gpu", "memory", "peak"),
    [
        ("Standard_ND96isr_H200_v5", 8, "H200", 141, 989),
        ("Standard_ND96isr_MI300X_v5", 8, "MI300X", 192, 1307),
        ("Standard_NV36ads_A10_v5", 1, "A10", 24, 125),
        ("Standard_NV6ads_A10_v5", 1, "A10", 4, 20.8),
        ("Standard_NC32ads_A10_v4", 2, "A10", 24, 125),
        ("Standard_NCC40ads_H100_v5", 1, "H100", 94, 835),
        ("Standard_ND96ams_A100_v4", 8, "A100", 80, 312),
    ],
)
def test_every_current_gpu_size_is_known(size: str, gpus: int, gpu: str, memory: float, peak: float) -> None:
    known = machine(size)
    assert known is not None
    assert (known.gpus, known.gpu, known.gpu_memory_gib, known.peak) == (gpus, gpu, memory, peak)


def test_the_table_of_sizes_is_dated_and_has_what_was_retired() -> None:
    gone = {size.name: size.retired for size in virtual_machines() if size.retired}
    assert gone["Standard_NV12s_v3"] == gone["Standard_NV4as_v4"] == "2026-09-30"
    assert gone["Standard_NC6s_v2"] == gone["Standard_ND6s"] == "2023-09-06"
    assert len(virtual_machines()) >= 100
    priced = list_prices("eastus").an_hour
    unknown = {name.lower() for name in priced} - {size.name.lower() for size in virtual_machines()}
    # Microsoft's pages leave the GPUs or the memory of these out.
    assert all("rtxpro6000" in name for name in unknown)


def test_a_size_nobody_knows_is_unknown_and_not_without_a_gpu() -> None:
    compute = machines("c", withdrawn("Standard_NC999_v9"), nodes=1)
    codes = {finding.code: finding.severity for finding in compute_findings("c", compute, Model("m"))}
    assert codes.get("AZFT-C013") == "warning"
    assert "AZFT-C006" not in codes
    without = Compute("c", "Standard_D2_v2", cores=2)
    assert "AZFT-C006" in {finding.code for finding in compute_findings("c", without, Model("m"))}


def first_session(backend: AzureMLBackend, folder: Path, **more: Any) -> FineTuneSession:
    """Return the tutorial's session; its dataset is on the hub, so nothing of it is looked at."""
    settings = {"compute": SIZE, "percent": 5.0, "progress": False, **more}
    return FineTuneSession("Phi-4", "ultrachat_200k", backend=backend, folder=folder, **settings)


# The first plan of the tutorial: 207,865 rows of about 1,500 tokens, 10 % set aside, Phi-3-mini.
PLANS = [
    # epochs, share of the rows, lower and upper bounds that the band must lie in (hours)
    (3, 5.0, (1, 60)),
    (1, 5.0, (0.4, 30)),
    (1, 100.0, (5, 400)),
]


@pytest.mark.parametrize("case", PLANS)
def test_the_first_plan_says_what_it_costs(
    emulator: AzureMLEmulator,
    backend: AzureMLBackend,
    tmp_path: Path,
    case: tuple[int, float, tuple[float, float]],
) -> None:
    epochs, percent, bounds = case
    plan = first_session(backend, tmp_path, percent=percent, parameters={"num_train_epochs": epochs}).plan()
    ahead = plan.forecast
    assert ahead is not None
    assert ahead.seconds is not None
    assert ahead.cost is not None
    low, high = (end / HOUR for end in ahead.seconds)
    assert bounds[0] < low < high < bounds[1]
    # NC24ads_A100_v4 in East US; its hours from the start of the machine on.
    assert ahead.hourly == pytest.approx(3.673)
    assert ahead.cost == pytest.approx((low * 3.673, high * 3.673))
    said = str(plan)
    assert "published speeds of A100" in said
    assert "queue not" in " ".join(said.split())
    assert "list of 2026-06-18" in " ".join(said.split())


def test_the_band_holds_what_published_runs_of_that_kind_took(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    plan = first_session(backend, tmp_path).plan()
    ahead = plan.forecast
    assert ahead is not None
    assert ahead.seconds is not None
    tokens = ahead.steps * ahead.batch * 1_500
    # VectorLM: LoRA of Llama-3-8B on one A100 runs at 4,079 tokens a second; Phi-4 has 14.66 for its 8.03 billion.
    published = 4_079 * 8.03 / 14.66
    assert tokens / ahead.seconds[1] < published < tokens / ahead.seconds[0]


def test_a_budget_is_a_finding(emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path) -> None:
    def codes(budget: float, **more: Any) -> list[str]:
        plan = first_session(backend, tmp_path, budget=budget, **more).plan()
        return [finding.code for finding in plan.findings if "-B" in finding.code]

    assert codes(1) == ["AZFT-B001"]
    assert codes(1_000_000) == []
    assert codes(1, prices={}) == ["AZFT-B003"]


def test_within_the_band_it_is_a_warning() -> None:
    ahead = Forecast(1, 1, 1, 1, 1, cost=(40.0, 90.0))
    assert [f.code for f in budget_findings(50.0, ahead, "c")] == ["AZFT-B002"]


def test_sizes_are_ranked_by_the_price_of_the_job(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    session = first_session(backend, tmp_path)
    offers = [offer for offer in session.suggest() if not offer.why_not and offer.cost]
    assert len(offers) >= 2
    by_fit = [offer.fit for offer in offers]
    middle = [sum(offer.cost or ()) for offer in offers]
    for fit in set(by_fit):
        same = [cost for cost, other in zip(middle, by_fit, strict=True) if other == fit]
        assert same == sorted(same)


def test_low_priority_machines_have_no_price_of_their_own() -> None:
    from azft.domain.parameters import Parameters
    from azft.rules.costs import costed

    known = Forecast(10, 1, 1, 10, 10)
    spot = Compute("c", "Standard_NC24ads_A100_v4", gpus=1, tier="LowPriority")
    found = costed(
        known,
        Model("m", weights="w"),
        Parameters(),
        spot,
        tokens_per_row=10.0,
        nodes=1,
        measured=(1.0, 2.0),
        published=(),
        prices=list_prices("eastus"),
    )
    assert (found.hourly, found.cost) == (None, None)


def test_a_stand_in_on_this_machine_costs_nothing_and_says_nothing(tmp_path: Path) -> None:
    plan = FineTuneSession(ModelSpec("Phi-3-mini-4k-instruct"), folder=tmp_path, progress=False).plan()
    assert plan.forecast is not None
    assert (plan.forecast.cost, plan.forecast.seconds) == (None, None)


def test_fewer_gpus_than_there_are_take_longer(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    def seconds(**parameters: int) -> float:
        eight = first_session(backend, tmp_path, compute="Standard_ND96asr_v4", parameters=parameters).plan().forecast
        assert eight is not None
        assert eight.seconds is not None
        return eight.seconds[1]

    assert seconds(number_of_gpu_to_use_finetuning=1) > 4 * seconds()


def test_of_many_experts_two_work() -> None:
    moe = Architecture(4096, 32, 32, 8, 6400, 32064, 131072, experts=16)
    assert moe.active_parameters < 0.2 * moe.parameters
    dense = SHAPES["Llama-2-7B"]
    assert dense.active_parameters == dense.parameters


def test_what_is_cut_off_costs_nothing(emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path) -> None:
    def seconds(limit: int) -> float:
        ahead = first_session(backend, tmp_path, percent=100, parameters={"max_seq_length": limit}).plan().forecast
        assert ahead is not None
        assert ahead.seconds is not None
        return ahead.seconds[0]

    assert seconds(256) < 0.9 * seconds(1024)


def test_a_comparison_is_in_the_time_of_the_engines_job_and_apart_from_a_pipelines(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    """Before it bills: `evaluate(run, where="cluster")` is a job, and the plan has said what it takes."""

    def ahead(trainer: str, percent: float) -> tuple[Forecast, str]:
        steps = {"max_steps": 1}
        plan = first_session(backend, tmp_path, trainer=trainer, percent=percent, parameters=steps).plan()
        assert plan.forecast is not None
        assert plan.forecast.seconds is not None
        return plan.forecast, str(plan)

    def low(found: Forecast) -> float:
        return found.seconds[0] if found.seconds else 0.0

    pipeline, said = ahead("", 5)
    assert 'where="cluster"' in said
    assert pipeline.comparison is not None
    assert 240 < pipeline.comparison[0] < pipeline.comparison[1] < 7200
    assert pipeline.comparison_cost is not None
    assert pipeline.comparison_cost[1] == pytest.approx(pipeline.comparison[1] * 3.673 / HOUR)
    less = ahead("", 0.5)[0]
    assert low(pipeline) == low(less)
    assert less.comparison is not None
    assert pipeline.comparison[0] > less.comparison[0] + 60
    engine, said = ahead("azft", 5)
    assert 'where="cluster"' not in said
    assert "comparison included" in " ".join(said.split())
    assert engine.comparison is None
    # 1,156 conversations are held out against 116; with one step of training, reading them is what takes time.
    assert pipeline.test_rows == engine.test_rows == 1156
    assert low(engine) > low(ahead("azft", 0.5)[0]) + 60


def test_a_comparison_that_would_be_ended_is_told(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    backend = AzureMLBackend(instance_type=SIZE, poll=0.05, job_timeout=600)
    (found,) = [one for one in first_session(backend, tmp_path).plan().findings if one.code == "AZFT-T005"]
    assert (found.severity, found.subject) == ("warning", "job_timeout")
    assert "a comparison with" in found.found


def test_a_test_split_of_unknown_length_is_no_share_of_the_training_rows(
    emulator: AzureMLEmulator, backend: AzureMLBackend, tmp_path: Path
) -> None:
    row = {"messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]}
    both = tmp_path / "both"
    both.mkdir()
    for split, rows in (("train", 900), ("test", 1500)):
        (both / f"{split}.jsonl").write_bytes((orjson.dumps(row) + b"\n") * rows)

    def ahead(trainer: str, data: Any) -> Forecast:
        session = FineTuneSession("Phi-4", data, backend=backend, folder=tmp_path, compute=SIZE, trainer=trainer,
                                  progress=False, duplicates="keep", validation=0.0)  # fmt: skip
        found = session.plan().forecast
        assert found is not None
        return found

    assert [(one.train_rows, one.test_rows) for one in (ahead("", both), ahead("azft", both))] == [(900, None)] * 2
    assert ahead("", both).comparison is None
    alone = ahead("", both / "train.jsonl")
    assert (alone.train_rows, alone.test_rows) == (810, 90)


def test_published_rows_are_of_the_kind_that_is_read() -> None:
    assert all(isinstance(row, Published) and 0 < row.utilisation < 100 for row in published_speeds())
