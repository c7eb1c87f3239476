"""Planted faults: each is said before anything is submitted, with its own code and a fix that works."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import field, frozen

import azft
from azft import DatasetSpec, FineTuneSession, ModelSpec, NamingScheme, Plan
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.internals import current_cloud
from azft.domain.compute import Compute, Usage
from azft.rules.codes import CODES
from azft.rules.quotas import quota_findings
from azft.snapshot import RegistryVersion
from azft.testing.contract import SAMPLE
from azft.testing.emulator import AzureMLEmulator

GOOD_SIZES = "['Standard_NC24ads_A100_v4', 'Standard_NC48ads_A100_v4', 'Standard_NC40ads_H100_v5']"
DAY = datetime.now(UTC).date()


def published(name: str, tags: Mapping[str, str], properties: Mapping[str, str] | None = None) -> RegistryVersion:
    more = {"finetuning-tasks": "chat-completion", **(properties or {})}
    return RegistryVersion(name, "1", "2026-01-01", tags=dict(tags), properties=more)


MODELS = [
    published("no-list", {}),
    published("broken-list", {"finetune_compute_allow_list": "['Standard_NC24ads_A100_v4'"}),
    published(
        "ending",
        {
            "finetune_compute_allow_list": GOOD_SIZES,
            "FinetuneDeprecationDate": str(DAY - timedelta(10)),
            "FinetuneRetirementDate": str(DAY + timedelta(90)),
        },
    ),
    published("large", {"finetune_compute_allow_list": GOOD_SIZES}, {"finetune-min-sku-spec": "40|2|400|100"}),
    published(
        "bounded",
        {
            "finetune_compute_allow_list": GOOD_SIZES,
            "model_specific_defaults": "{'learning_rate': '5e-6', 'learning_rate_max': '5e-5', 'precission': 4}",
        },
    ),
    published("recommended", {}, {"finetune-recommended-sku": "Standard_NC48ads_A100_v4"}),
    published("on-old-sizes", {"finetune_compute_allow_list": "['Standard_NC24s_v3', 'Standard_NC24ads_A100_v4']"}),
]


@frozen
class Fault:
    """What is wrong, the code that must say it, and the settings that fix it."""

    code: str
    wrong: Mapping[str, Any]
    cured: Mapping[str, Any] = field(factory=dict)

    def __str__(self) -> str:
        return f"{self.code}-{'-'.join(map(str, self.wrong))}"


def parameters(**values: Any) -> dict[str, Any]:
    return {"parameters": values}


def scheme(display: str = "fine", model: str = "fine") -> NamingScheme:
    return NamingScheme("mine", display_name=lambda _: display, model_name=lambda _: model)


def broken(_context: object) -> str:
    raise KeyError("team")


def data(source: str, **more: Any) -> dict[str, Any]:
    return {"dataset": DatasetSpec("mine", source, **more)}


FAULTS = [
    Fault("AZFT-A001", {"credential": "refused"}),
    Fault("AZFT-A002", {"workspace": "ws-elsewhere"}),
    Fault("AZFT-M001", {"model": ModelSpec("Phi-44")}, {"model": ModelSpec("Phi-4")}),
    Fault("AZFT-M001", {"model": ModelSpec("Phi-4", version="99")}),
    Fault("AZFT-M002", {"model": "Phi-3-mini-4k-instruct"}, {"model": "Phi-4"}),
    Fault("AZFT-M003", {"model": ModelSpec("ending")}),
    Fault("AZFT-M004", {"model": "bert-base-cased"}),
    Fault("AZFT-M005", {"model": ModelSpec("broken-list")}),
    Fault("AZFT-C001", {"compute": "gpu-clusterr"}),
    Fault("AZFT-C001", {"compute": "Standard_NC24s_v3"}, {"compute": "Standard_NC24ads_A100_v4"}),
    Fault("AZFT-C002", {"compute": "failed"}),
    Fault("AZFT-C003", {"compute": "k80"}),
    Fault("AZFT-C003", {"compute": "v100", "model": ModelSpec("on-old-sizes")}),
    Fault("AZFT-C004", {"compute": "nd40"}),
    Fault("AZFT-C005", {"model": ModelSpec("no-list")}),
    Fault("AZFT-C006", {"compute": "cpu"}),
    Fault("AZFT-C007", parameters(number_of_gpu_to_use_finetuning=4), parameters(number_of_gpu_to_use_finetuning=1)),
    Fault("AZFT-C008", parameters(num_nodes_finetune=3), parameters(num_nodes_finetune=2)),
    Fault("AZFT-C009", {"model": ModelSpec("large")}, {"model": ModelSpec("large"), "compute": "two"}),
    Fault("AZFT-C010", {"compute": "cheap"}),
    Fault("AZFT-C014", {"model": ModelSpec("recommended")}),
    Fault("AZFT-C008", {"compute": "none"}),
    Fault("AZFT-C015", {"compute": "warm"}),
    Fault("AZFT-C012", {"compute": "two", **parameters(number_of_gpu_to_use_finetuning=1)}, {"compute": "two"}),
    Fault("AZFT-Q001", {"compute": "h100"}),
    Fault("AZFT-Q001", {"compute": "eight"}),
    Fault("AZFT-Q005", {"compute": "far"}),
    Fault("AZFT-G001", parameters(apply_lora=False, precision="32"), parameters(apply_lora=True)),
    Fault("AZFT-G002", parameters(per_device_train_batch_size=600)),
    Fault("AZFT-P001", parameters(learning_rat=1e-5), parameters(learning_rate=1e-5)),
    Fault("AZFT-P002", parameters(num_train_epochs="many"), parameters(num_train_epochs=2)),
    Fault("AZFT-P002", parameters(apply_lora="maybe"), parameters(apply_lora=True)),
    Fault("AZFT-P003", parameters(precision="4"), parameters(precision="16")),
    Fault("AZFT-P003", parameters(lr_scheduler_type="foo"), parameters(lr_scheduler_type="linear")),
    Fault("AZFT-P004", parameters(num_train_epochs=-3), parameters(num_train_epochs=3)),
    Fault("AZFT-P004", parameters(learning_rate=0), parameters(learning_rate=1e-6)),
    Fault("AZFT-P004", parameters(lora_dropout=1.5), parameters(lora_dropout=0.1)),
    Fault("AZFT-P005", parameters(shm_size_finetune="5'g"), parameters(shm_size_finetune="5g")),
    Fault("AZFT-P006", parameters(task_name=None), parameters(task_name="ChatCompletion")),
    Fault(
        "AZFT-P007", {"model": ModelSpec("bounded"), **parameters(learning_rate=1e-3)}, {"model": ModelSpec("bounded")}
    ),
    Fault("AZFT-P008", {"model": ModelSpec("bounded")}),
    Fault("AZFT-P010", parameters(apply_early_stopping=True, evaluation_strategy="disable")),
    Fault("AZFT-P011", parameters(auto_find_batch_size=True)),
    Fault("AZFT-P012", parameters(deepspeed="zero.json", apply_deepspeed=False)),
    Fault("AZFT-P013", parameters(apply_ort=True)),
    Fault("AZFT-P014", parameters(huggingface_id="someone/else")),
    Fault("AZFT-P015", parameters(max_seq_length=20_000), parameters(max_seq_length=16_384)),
    Fault("AZFT-P016", parameters(metric_for_best_model="f1")),
    Fault("AZFT-P017", parameters(lora_r=8, apply_lora=False), parameters(lora_r=8)),
    Fault("AZFT-P018", parameters(max_steps=10, num_train_epochs=2), parameters(max_steps=10)),
    Fault("AZFT-P019", parameters(warmup_steps=100_000)),
    Fault("AZFT-P020", parameters(per_device_train_batch_size=5000), parameters(per_device_train_batch_size=1)),
    Fault("AZFT-P021", parameters(logging_steps=10_000_000), parameters(logging_steps=10)),
    Fault("AZFT-P004", parameters(adam_beta1=1.0), parameters(adam_beta1=0.95)),
    Fault("AZFT-P004", parameters(lora_dropout=1.0), parameters(lora_dropout=0.5)),
    Fault("AZFT-P004", parameters(seed=2**40), parameters(seed=2**32 - 1)),
    Fault("AZFT-P002", parameters(shm_size_finetune="lots"), parameters(shm_size_finetune="16G")),
    Fault("AZFT-P022", parameters(learning_rate=5), parameters(learning_rate=1e-4)),
    Fault("AZFT-P023", parameters(train_mltable_path="azureml://mine")),
    Fault("AZFT-P023", parameters(train_file_path="azureml://mine")),
    Fault("AZFT-P023", parameters(compute_finetune="elsewhere"), parameters(compute_finetune="good")),
    Fault("AZFT-P023", parameters(instance_type_finetune="Standard_D2_v2")),
    Fault("AZFT-P101", parameters(evaluation_config_params="x")),
    Fault("AZFT-D001", data("file://missing.jsonl")),
    Fault("AZFT-D001", data("s3://bucket/chats")),
    Fault("AZFT-D001", data("sample://ultrachat", train_split="nope")),
    Fault("AZFT-D002", data("file://bad.jsonl")),
    Fault("AZFT-D003", data("file://empty.jsonl")),
    Fault("AZFT-D004", {"validation": 0}, {"validation": 0.1}),
    Fault("AZFT-D005", parameters(max_seq_length=8), parameters(max_seq_length=4096)),
    Fault("AZFT-D006", {"dataset": "ultrachat_200k"}),
    Fault("AZFT-N001", {"naming": scheme(display="two\nlines")}, {"naming": scheme()}),
    Fault("AZFT-N002", {"naming": scheme(model="my/model")}, {"naming": scheme()}),
    Fault("AZFT-N003", {"naming": scheme(model="known")}, {"naming": scheme()}),
    Fault("AZFT-N004", {"naming": NamingScheme("mine", broken, broken)}, {"naming": scheme()}),
]


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMLEmulator]:
    """Give an emulated workspace with one good cluster and many that are not."""
    quotas = {"standardNCadsH100v5Family": 39, "lowPriorityCores": 24}
    with AzureMLEmulator(models=MODELS, quotas=quotas) as emulated:
        backend = AzureMLBackend()
        for name, size, nodes, tier in [
            ("good", "Standard_NC24ads_A100_v4", 2, "Dedicated"),
            ("two", "Standard_NC48ads_A100_v4", 2, "Dedicated"),
            ("eight", "Standard_NC48ads_A100_v4", 1, "LowPriority"),
            ("cheap", "Standard_NC24ads_A100_v4", 1, "LowPriority"),
            ("failed", "Standard_NC24ads_A100_v4", 1, "Dedicated"),
            ("k80", "Standard_NC24ads_A100_v4", 1, "Dedicated"),
            ("v100", "Standard_NC24ads_A100_v4", 1, "Dedicated"),
            ("nd40", "Standard_ND40rs_v2", 1, "Dedicated"),
            ("cpu", "Standard_D2_v2", 1, "Dedicated"),
        ]:
            backend.create_compute(name, size, max_nodes=nodes, tier=tier)
        emulated.place_compute("h100", size="Standard_NC40ads_H100_v5", most=1)  # made before its quota was lowered
        amend(emulated, "failed", {"provisioningState": "Failed"})
        amend(emulated, "k80", {"properties": {"vmSize": "STANDARD_NC6"}})
        amend(emulated, "v100", {"properties": {"vmSize": "STANDARD_NC24S_V3"}})
        emulated.place_compute("far", size="Standard_NC40ads_H100_v5", region="westus")
        emulated.place_compute("warm", least=1)
        emulated.place_compute("none", most=0)
        register(backend, tmp_path_factory.mktemp("model"))
        yield emulated


def amend(emulated: AzureMLEmulator, name: str, changes: dict[str, Any]) -> None:
    """Change what the service says of a cluster: states and sizes that nobody can ask for."""
    found = emulated.world.state.get("computes", name)
    assert found is not None
    properties = {**found["properties"], **changes}
    properties["properties"] = {**found["properties"]["properties"], **changes.get("properties", {})}
    emulated.world.state.put("computes", name, {**found, "properties": properties})


def register(backend: AzureMLBackend, folder: Path) -> None:
    """Register a model under the name "known"."""
    from azure.ai.ml.entities import Model

    (folder / "weights").write_bytes(b"0")
    known = Model(path=str(folder / "weights"), name="known", version="1", type="custom_model")
    backend._clients.workspace.models.create_or_update(known)


class Refused:
    """A credential whose tokens have run out."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        from azure.core.exceptions import ClientAuthenticationError

        raise ClientAuthenticationError("AADSTS700082: the refresh token has expired")


def planned(settings: Mapping[str, Any]) -> Plan:
    """Return the plan of a good session with some settings changed."""
    chosen = {"model": "Phi-4", "dataset": SAMPLE, "compute": "good", **settings}
    given = {"workspace": chosen.pop("workspace", "")}
    if chosen.pop("credential", None):
        given["credential"] = Refused()
    return FineTuneSession(backend=AzureMLBackend(**given), progress=False, **chosen).plan()


@pytest.fixture(autouse=True)
def _files(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("", encoding="utf-8")
    (tmp_path / "bad.jsonl").write_text('{"messages": []}\n{"mesages": []}\nnot JSON\n', encoding="utf-8")


def test_a_good_plan_has_nothing_to_say(emulator: AzureMLEmulator) -> None:
    assert planned({}).findings == ()


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_a_planted_fault_is_found_and_its_fix_works(emulator: AzureMLEmulator, fault: Fault) -> None:
    before = len(emulator.requests)
    plan = planned(fault.wrong)
    said = [finding for finding in plan.findings if finding.code == fault.code]
    assert said, plan.findings
    assert all(finding.subject and finding.found and finding.fix for finding in said)
    assert fault.code not in {finding.code for finding in planned(fault.cured).findings}
    assert changes(emulator, before) == []


def changes(emulated: AzureMLEmulator, before: int) -> list[str]:
    """Return the requests that could have changed something."""
    asked = [request for request in emulated.requests[before:] if request.method not in {"GET", "HEAD"}]
    return [f"{request.method} {request.path}" for request in asked if not request.path.endswith("/token")]


def test_twelve_faults_at_once_are_all_found(emulator: AzureMLEmulator) -> None:
    before = len(emulator.requests)
    plan = planned(
        {
            "model": "Phi-3-mini-4k-instruct",
            "compute": "nd40",
            "dataset": DatasetSpec("mine", "file://bad.jsonl"),
            "validation": 0,
            "naming": scheme(display="two\nlines", model="my/model"),
            "parameters": {
                "learning_rat": 1,
                "num_train_epochs": "many",
                "precision": "4",
                "learning_rate": 1,
                "num_nodes_finetune": 9,
                "auto_find_batch_size": True,
                "max_seq_length": 9999,
            },
        }
    )
    expected = ["M002", "C004", "C008", "D002", "D004", "N001", "N002", "P001", "P002", "P003", "P007", "P011", "P015"]
    assert {f"AZFT-{code}" for code in expected} <= {finding.code for finding in plan.findings}
    with pytest.raises(azft.PlanError) as refused:
        azft.PipelineBuilder().check(plan)
    assert len(refused.value.findings) == len(plan.errors) >= 12
    assert changes(emulator, before) == []


def test_the_tutorial_as_it_ships_is_told_what_to_change_and_then_runs(emulator: AzureMLEmulator) -> None:
    tutorial = {"model": "Phi-3-mini-4k-instruct", "compute": "nd40", "validation": 0}
    said = {finding.code: finding for finding in planned(tutorial).findings}
    assert {"AZFT-M002", "AZFT-C004", "AZFT-P008", "AZFT-D004"} <= set(said)
    assert "Phi-4" in said["AZFT-M002"].fix
    assert "Standard_NC24ads_A100_v4" in said["AZFT-C004"].fix
    assert "learning_rate_min" in {finding.subject for finding in planned(tutorial).findings}
    session = FineTuneSession(
        "Phi-4",
        SAMPLE,
        backend=AzureMLBackend(poll=0.1),
        compute="good",
        validation=0.1,
        percent=8,
        parameters={"num_train_epochs": 1, "learning_rate": 5e-3, "per_device_train_batch_size": 16, "precision": "32"},
        progress=False,
    )
    run = session.submit()
    assert session.watch(run).status == azft.RunStatus.COMPLETED
    session.cleanup(everything=True)


def test_a_plan_takes_few_round_trips_in_a_row() -> None:
    with AzureMLEmulator(latency=0.05) as slow:
        AzureMLBackend().create_compute("good", "Standard_NC24ads_A100_v4")
        backend = AzureMLBackend()
        backend._clients.credential.get_token(current_cloud().management)  # signing in takes three more, once an hour
        session = FineTuneSession("Phi-4", SAMPLE, backend=backend, compute="good", progress=False)
        before = len(slow.requests)
        session.plan()
        asked = sorted(slow.requests[before:], key=lambda request: request.ended)
    row, free_from = 0, 0.0
    for request in asked:
        if request.began >= free_from:
            row, free_from = row + 1, request.ended
    assert len(asked) > row
    assert row <= 5, [f"{request.method} {request.path}" for request in asked]


def test_a_plan_without_a_network_says_so_and_checks_the_rest(emulator: AzureMLEmulator) -> None:
    plan = planned({"credential": "refused", "model": "Phi-3-mini-4k-instruct", **parameters(precision="4")})
    codes = {finding.code for finding in plan.findings}
    assert {"AZFT-A001", "AZFT-M002", "AZFT-P003"} <= codes
    assert plan.snapshot in str(plan)
    assert "AADSTS" in str(plan)


@pytest.mark.slow
def test_a_service_that_does_not_answer_is_one_finding_and_the_snapshot_says_the_rest() -> None:
    with AzureMLEmulator() as gone:
        session = FineTuneSession(
            "Phi-3-mini-4k-instruct",
            SAMPLE,
            backend=AzureMLBackend(),
            compute="good",
            parameters={"precision": "4"},
            progress=False,
        )
        session.backend.find_compute("good")
        assert gone._server is not None
        gone._server.stop()
        plan = session.plan()
    assert {"AZFT-A003", "AZFT-M002", "AZFT-P003"} <= {finding.code for finding in plan.errors}
    assert plan.snapshot in str(plan)


def test_quota_that_is_in_use_or_unknown_is_a_warning() -> None:
    compute = Compute("c", "S", cores=24, family="f")
    assert [finding.code for finding in quota_findings(compute, [Usage("f", 20, 40)])] == ["AZFT-Q002"]
    assert [finding.code for finding in quota_findings(compute, [Usage("g", 0, 40)])] == ["AZFT-Q003"]
    assert quota_findings(compute, [Usage("F", 16, 40)]) == ()


def test_models_are_listed_with_their_end_and_an_alternative(emulator: AzureMLEmulator) -> None:
    listed = FineTuneSession(backend=AzureMLBackend(), progress=False).models()
    by_name = {offer.name: offer for offer in listed}
    assert by_name["Phi-4"].lifecycle == "current"
    assert by_name["Phi-3-mini-4k-instruct"].lifecycle == "retired"
    assert "Phi-4" in by_name["Phi-3-mini-4k-instruct"].instead
    assert "bert-base-cased" not in by_name
    assert "Phi-4" in str(listed)


def test_sizes_are_ranked_and_every_loser_has_a_reason(emulator: AzureMLEmulator) -> None:
    session = FineTuneSession("Phi-4", SAMPLE, backend=AzureMLBackend(), compute="good", progress=False)
    plan = session.plan()
    advice = session.suggest(plan, prices={"Standard_NC48ads_A100_v4": 1.0, "Standard_NC24ads_A100_v4": 2.0})
    offers = {offer.size: offer for offer in advice}
    assert advice.best is not None
    assert advice.best.size == "Standard_NC48ads_A100_v4"
    assert any("quota" in reason for reason in offers["Standard_NC40ads_H100_v5"].why_not)
    assert any("allow-list" in reason for reason in offers["Standard_ND40rs_v2"].why_not)
    assert all(offer.why_not for offer in advice if offer.fit == "no")
    listed = session.suggest(plan)
    assert (listed.best and listed.best.size, listed.best and listed.best.price) == ("Standard_NC24ads_A100_v4", 3.673)
    assert "list of 2026-06-18" in str(listed)
    unpriced = session.suggest(plan, prices={})
    assert unpriced.best is not None
    assert (unpriced.best.size, unpriced.best.price) == ("Standard_NC24ads_A100_v4", None)


def test_every_code_in_the_package_is_documented_and_every_documented_one_is_used() -> None:
    root = Path(azft.__file__).parent
    used = set()
    for path in root.rglob("*.py"):
        if path.name != "codes.py" and "testing" not in path.parts:
            text = path.read_text(encoding="utf-8")
            used |= {f"AZFT-{part[:4]}" for part in text.split("AZFT-")[1:]}
    assert used == set(CODES)
    page = (Path(__file__).parents[1] / "docs" / "findings.md").read_text(encoding="utf-8")
    assert all(f"`{code}`" in page for code in CODES)


def test_a_plan_goes_through_json_with_its_findings(emulator: AzureMLEmulator) -> None:
    plan = planned(parameters(precision="4"))
    assert Plan.from_json(plan.to_json()) == plan
    assert json.loads(plan.to_json())["findings"][0]["code"] == "AZFT-P003"
