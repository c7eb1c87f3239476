"""Quota rows in each shape that Microsoft has published, and every limit that stops a job (row A7)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from azft import FineTuneSession
from azft.backends.azureml.backend import AzureMLBackend
from azft.domain.compute import Compute, Usage
from azft.errors import ComputeError, PlanError
from azft.rules.quotas import deployment_findings, quota_findings, read_usage, same_family
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import SIZE, session_of

PREFIX = "Microsoft.MachineLearningServices/"


def row(value: str, text: str, limit: int, used: int | None = 0, *kinds: str) -> dict[str, Any]:
    kind, scope = (*kinds, "", "")[:2]
    return {
        "id": scope,
        "type": f"{PREFIX}{kind}/usages" if kind else None,
        "unit": "Count",
        "currentValue": used,
        "limit": limit,
        "name": {"value": value, "localizedValue": text},
    }


# The same quotas in the three shapes: azure-rest-api-specs, machinelearningservices, ListUsages.json of 2018-11-19,
# ListUsages.json of 2020-04-01 with the values that were seen live in 2026, and Usage/list.json of 2022-10-01.
FAMILY = "Standard NCADSA100v4 Family Cluster Dedicated vCPUs"
TOTAL, LOW = "Total Cluster Dedicated Regional vCPUs", "Total Cluster Low Priority Regional vCPUs"
LOW_2018 = "Total Cluster LowPriority Regional vCPUs"
FAMILY_LOW = "Standard NCADSA100v4 Family Cluster LowPriority vCPUs"
SHAPES = {
    "2018-11-19": [
        row("Clusters", "Clusters", 200, 1),
        row(TOTAL, TOTAL, 100, 8),
        row(FAMILY, FAMILY, 24, 0),
        row(LOW_2018, LOW_2018, 50, 0),
    ],
    "2020-04-01 and live": [
        row("TotalClusters", "Total Clusters", 200, 1, "totalClusters"),
        row("TotalDedicatedCores", TOTAL, 100, 8, "totalDedicatedCores"),
        row("standardNCADSA100v4Family", FAMILY, 24, 0, "vmFamily/dedicatedCores"),
        row("TotalLowPriorityCores", LOW, 50, 0, "totalLowPriorityCores"),
        row("standardNCADSA100v4Family", FAMILY_LOW, -1, 0, "vmFamily/lowPriorityCores"),
        row("standardNCADSA100v4Family", FAMILY, 7, 0, "workspaces/dedicatedCores",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.MachineLearningServices/workspaces/w/usages/f"),
    ],
    "2022-10-01": [
        row("Clusters", "Clusters", 200, 1, "totalCores"),
        row(TOTAL, TOTAL, 100, 8, "dedicatedCores"),
        row(FAMILY, FAMILY, 24, 0, "vmFamily"),
        row(LOW_2018, LOW_2018, 50, 0, "lowPriorityCores"),
    ],
}  # fmt: skip
MACHINE = Compute("c", SIZE, cores=24, family="standardNCADSA100v4Family")


@pytest.mark.parametrize("shape", list(SHAPES))
def test_every_published_shape_says_the_same(shape: str) -> None:
    usage = read_usage(SHAPES[shape])
    found = {(entry.scope, entry.tier): entry.limit for entry in usage if entry.limit >= 0}
    assert found == {
        ("clusters", "Dedicated"): 200,
        ("total", "Dedicated"): 100,
        ("family", "Dedicated"): 24,
        ("total", "LowPriority"): 50,
    }
    assert quota_findings(MACHINE, usage) == ()
    assert [finding.code for finding in quota_findings(MACHINE, usage, nodes=2)] == ["AZFT-Q001"]
    low = Compute("c", SIZE, cores=24, family="standardNCADSA100v4Family", tier="LowPriority")
    assert quota_findings(low, usage, nodes=2) == ()
    assert [finding.code for finding in quota_findings(low, usage, nodes=3)] == ["AZFT-Q001"]


@pytest.mark.parametrize("shape", list(SHAPES))
def test_a_quota_of_nothing_is_an_error_in_every_shape(shape: str) -> None:
    rows = [{**entry, "limit": 0} if entry["limit"] == 24 else entry for entry in SHAPES[shape]]
    found = quota_findings(MACHINE, read_usage(rows))
    assert [(finding.code, finding.severity) for finding in found] == [("AZFT-Q001", "error")]


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("standardNCADSA100v4Family", "StandardNCADSA100v4Family", True),
        ("standardNCASv3_T4Family", "Standard NCASv3_T4 Family Cluster Dedicated vCPUs", True),
        ("standardNCadsH100v5Family", "Standard NCadsH100v5 Family vCPUs", True),
        ("standardNCFamily", "Standard NCSv3 Family Cluster Dedicated vCPUs", False),
        ("standardDFamily", "Standard Dv2 Family Cluster Dedicated vCPUs", False),
        ("", "", False),
    ],
)
def test_families_are_the_same_whatever_the_spelling(one: str, other: str, same: bool) -> None:
    assert same_family(one, other) is same


def test_what_is_not_told_is_said_to_be_unknown() -> None:
    free_trial = read_usage([{**entry, "currentValue": None} for entry in SHAPES["2020-04-01 and live"]])
    assert {finding.code for finding in quota_findings(MACHINE, free_trial)} == {"AZFT-Q003"}
    absent = [entry for entry in read_usage(SHAPES["2020-04-01 and live"]) if entry.scope != "family"]
    assert [finding.found for finding in quota_findings(MACHINE, absent)] == [
        "the region tells no quota for standardNCADSA100v4Family; one that was never granted has no row"
    ]
    unset = [Usage("TotalLowPriorityCores", 0, -1, "total", "LowPriority")]
    low = Compute("c", SIZE, cores=24, tier="LowPriority")
    assert [finding.code for finding in quota_findings(low, unset)] == ["AZFT-Q003"]


def test_totals_stop_a_job_too() -> None:
    usage = [Usage("f", 0, 100), Usage("TotalDedicatedCores", 0, 20, "total")]
    machine = Compute("c", SIZE, cores=24, family="f")
    assert "TotalDedicatedCores is 20 cores" in quota_findings(machine, usage)[0].found
    used = [Usage("f", 0, 100), Usage("TotalDedicatedCores", 90, 100, "total")]
    assert [finding.code for finding in quota_findings(machine, used)] == ["AZFT-Q002"]


@pytest.mark.parametrize(("instances", "wanted"), [(1, 48), (2, 72), (5, 144), (6, 192)])
def test_a_deployment_wants_a_fifth_more_rounded_up(instances: int, wanted: int) -> None:
    """`ceil(1.2 x instances) x cores` (how-to-manage-quotas, online deployments)."""
    plenty = [Usage(MACHINE.family, 0, wanted), Usage("TotalDedicatedCores", 0, 1000, "total")]
    assert deployment_findings(MACHINE, plenty, instances=instances) == ()
    short = [Usage(MACHINE.family, 1, wanted), Usage("TotalDedicatedCores", 0, 1000, "total")]
    found = deployment_findings(MACHINE, short, instances=instances)
    assert [(finding.code, finding.severity) for finding in found] == [("AZFT-Q002", "warning")]


@pytest.mark.parametrize(
    ("quotas", "compute"),
    [
        ({"standardNCADSA100v4Family": 0}, SIZE),
        ({"TotalDedicatedCores": 20}, SIZE),
        ({"standardNCADSA100v4Family": 12}, SIZE),
    ],
)
def test_a_plan_with_too_little_quota_is_not_submitted(tmp_path: Path, quotas: dict[str, int], compute: str) -> None:
    with AzureMLEmulator(quotas=quotas) as emulator:
        session = session_of(AzureMLBackend(), tmp_path, compute=compute)
        with pytest.raises(PlanError, match="AZFT-Q001"):
            session.submit()
        assert emulator.jobs.all() == []


def test_low_priority_is_compared_with_its_own_total(tmp_path: Path) -> None:
    with AzureMLEmulator(quotas={"TotalLowPriorityCores": 12}) as emulator:
        emulator.place_compute("spot", size=SIZE, tier="LowPriority")
        plan = session_of(AzureMLBackend(), tmp_path, compute="spot").plan()
    assert [finding.found for finding in plan.errors] == [
        "the quota TotalLowPriorityCores is 12 cores, and 1 x 24 are needed"
    ]


def test_a_deployment_without_quota_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    with AzureMLEmulator(quotas={"standardNCADSA100v4Family": 0}) as emulator:
        emulator.script(Outcome(seconds=0), always=True)
        emulator.place_compute("gpu-cluster", size=SIZE)
        session = session_of(AzureMLBackend(instance_type=SIZE, poll=0.05), tmp_path)
        run = session.submit(accept=["AZFT-Q001"])
        model = session.register(run)
        with pytest.raises(ComputeError, match="standardNCADSA100v4Family is 0 cores"):
            session.deploy(model)
        assert list(emulator.world.state.all("onlineEndpoints")) == []


def test_the_emulators_rows_are_those_of_the_live_service(tmp_path: Path) -> None:
    """Kinds and names as they were seen live in 2026 with api-version 2024-04-01."""
    with AzureMLEmulator(quotas={"standardNCASv3_T4Family": -1}):
        rows = list(AzureMLBackend()._clients.workspace.compute.list_usage())
    kinds = [entry.type.removeprefix(PREFIX).removesuffix("/usages").rpartition("/")[2] for entry in rows]
    assert kinds[:2] == ["totalClusters", "totalDedicatedCores"]
    assert set(kinds) == {
        "totalClusters",
        "totalDedicatedCores",
        "dedicatedCores",
        "totalLowPriorityCores",
        "lowPriorityCores",
    }
    values = [(entry.name["value"], kind, entry.limit) for entry, kind in zip(rows, kinds, strict=True)]
    assert ("standardNCADSA100v4Family", "lowPriorityCores", -1) in values
    assert not any(value == "standardNCASv3_T4Family" and kind == "dedicatedCores" for value, kind, _limit in values)


def test_findings_that_were_taken_out_by_hand_are_made_again(tmp_path: Path) -> None:
    """Row R11: a plan that was changed is checked where it counts."""
    from attrs import evolve

    session = FineTuneSession(folder=tmp_path, parameters={"learning_rat": 1}, progress=False)
    plan = evolve(session.plan(), findings=())
    assert plan.errors == ()
    broken = evolve(plan, display_name="")
    with pytest.raises(PlanError, match="AZFT-N001"):
        session.submit(broken)
