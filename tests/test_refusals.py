"""Hints by cause and never by place; one of azft's own errors always (rows A14 to A19)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azft import Resource
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.comparing import check_memory
from azft.backends.azureml.internals import current_cloud
from azft.backends.azureml.scoring import text_of
from azft.backends.azureml.signin import find_workspace, sign_in
from azft.backends.azureml.storage import _check_room
from azft.errors import (
    AuthenticationError,
    AzftError,
    BackendError,
    ConfigurationError,
    NotFoundError,
    UnsupportedError,
)
from azft.rules.refusals import ADVICE, advice_for
from azft.testing.emulator import AzureMLEmulator, Outcome
from tests.workspaces import CLUSTER, SIZE, asked, session_of, submitted

WHOLE = {"subscription_id": "s", "resource_group": "g", "workspace_name": "w"}


pytestmark = pytest.mark.shared


STORAGE = r"\.blob\.core\.windows\.net/"


@pytest.mark.parametrize(
    ("refusal", "advice"),
    [
        (("AuthorizationPermissionMismatch", 403), "Storage Blob Data Contributor"),
        (("AuthorizationFailure", 403), "network rules"),
        (("AccountIsDisabled", 403), "the storage account is disabled"),
        (("ContainerNotFound", 404), "a container that does not exist"),
        (("AuthenticationFailed", 403), "sign in again, and check this clock"),
    ],
)
def test_an_upload_that_is_refused_says_why_by_its_code(
    backend: AzureMLBackend, emulator: AzureMLEmulator, refusal: tuple[str, int], advice: str
) -> None:
    emulator.fault("PUT", STORAGE, status=refusal[1], code=refusal[0], times=None)
    with pytest.raises(AzftError) as raised:
        submitted(backend)
    assert advice in raised.value.hint


STATUSES = [400, 401, 403, 404, 409, 412, 418, 429, 499, 500, 503, 520, 530, 598]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_is_an_error_of_ours(backend: AzureMLBackend, emulator: AzureMLEmulator, status: int) -> None:
    emulator.fault("GET", "/jobs/", status=status, code="Odd", headers={"x-ms-retry-after-ms": "5"}, times=None)
    with pytest.raises(BackendError, match="run 'azft-x'"):
        backend.find_run("azft-x")


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"text"', b"<html>Sign in</html>", b"\xff\xfe\x00", b'{"error": 5}', b"{}" * 9]
)
def test_an_answer_that_is_no_json_is_an_error_of_ours(
    backend: AzureMLBackend, emulator: AzureMLEmulator, body: bytes
) -> None:
    emulator.fault("GET", "/computes/", status=200, body=body, times=None)
    with pytest.raises(BackendError):
        backend.find_compute("some")


def test_quota_policy_and_roles_are_told_apart() -> None:
    assert "ask for more cores" in advice_for("", 400, "Not enough quota available for Standard_F4s_v2")
    assert "auth_mode='aad_token'" in advice_for("RequestDisallowedByPolicy", 403, "")
    assert "'Reader' on the subscription" in advice_for("AuthorizationFailed", 403, "")
    assert "az login --tenant" in advice_for("InvalidAuthenticationTokenTenant", 401, "")
    assert "AZURE_CLIENT_SECRET" in advice_for("", 401, "AADSTS7000215: Invalid client secret provided")
    assert all(ADVICE.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AZURE_TENANT_ID", "not a tenant!"),
        ("AZURE_TENANT_ID", "99999999-9999-9999-9999-999999999999"),
        ("AZURE_TOKEN_CREDENTIALS", "nonsense"),
        ("AZURE_CLIENT_ID", "99999999-9999-9999-9999-999999999999"),
        ("AZURE_CLIENT_SECRET", "wrong"),
        ("AZURE_AUTHORITY_HOST", "http://not-https"),
        ("AZUREML_CURRENT_CLOUD", "NoSuchCloud"),
    ],
)
def test_settings_of_the_sign_in_that_are_wrong_are_named(
    emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises((AuthenticationError, ConfigurationError)) as raised:
        sign_in()
    assert emulator._identity.secret not in str(raised.value)


def test_a_certificate_that_is_not_there_is_named(emulator: AzureMLEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZURE_CLIENT_SECRET")
    monkeypatch.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/no/such/file.pem")
    with pytest.raises((AuthenticationError, ConfigurationError)):
        sign_in()


@pytest.mark.parametrize(
    ("cloud", "scope"),
    [
        ("AzureCloud", "https://management.azure.com/.default"),
        ("AzureChinaCloud", "https://management.chinacloudapi.cn/.default"),
        ("AzureUSGovernment", "https://management.usgovcloudapi.net/.default"),
    ],
)
def test_the_scope_is_that_of_the_cloud(monkeypatch: pytest.MonkeyPatch, cloud: str, scope: str) -> None:
    """Addresses: azure-ai-ml 1.35, `_azure_environments.py`."""
    monkeypatch.setenv("AZUREML_CURRENT_CLOUD", cloud)
    assert current_cloud().management == scope


class TestWorkspaceFile:
    def test_a_models_config_is_passed_over_and_a_mark_is_taken(self, tmp_path: Path) -> None:
        below = tmp_path / "model"
        below.mkdir()
        (below / "config.json").write_text('{"architectures": ["Phi3ForCausalLM"]}', encoding="utf-8")
        (tmp_path / "config.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(WHOLE).encode())
        assert find_workspace({}, {}, below).workspace == "w"

    @pytest.mark.parametrize("value", ["<SUBSCRIPTION_ID>", "${WS}", "{{ workspace }}", "YOUR_WORKSPACE"])
    def test_a_placeholder_is_refused(self, tmp_path: Path, value: str) -> None:
        (tmp_path / "config.json").write_text(json.dumps({**WHOLE, "workspace_name": value}), encoding="utf-8")
        with pytest.raises(ConfigurationError, match="a placeholder"):
            find_workspace({}, {}, tmp_path)

    def test_two_halves_make_no_workspace(self, tmp_path: Path) -> None:
        (tmp_path / "config.json").write_text('{"workspace_name": "w"}', encoding="utf-8")
        half = {"AZURE_SUBSCRIPTION_ID": "s", "AZURE_RESOURCE_GROUP": "g"}
        with pytest.raises(ConfigurationError, match="is not mixed"):
            find_workspace({}, half, tmp_path)


def test_wrong_names_are_told_apart(emulator: AzureMLEmulator) -> None:
    for part, hint in (("subscription_id", "check subscription_id"), ("resource_group", "check resource_group")):
        with pytest.raises(NotFoundError) as raised:
            AzureMLBackend(**{part: "other"}).list_sizes()  # type: ignore[arg-type]
        assert hint in raised.value.hint


def test_roles_on_the_workspace_alone_plan_with_the_dated_table(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    emulator.fault(preset="workspace roles only")
    plan = session_of(AzureMLBackend(), tmp_path).plan()
    assert plan.errors == ()
    assert plan.compute.gpus == 1
    unread = [finding for finding in plan.findings if finding.code == "AZFT-Q004"]
    assert len(unread) == 2
    assert "'Reader' on the subscription" in unread[0].fix


def test_a_size_that_nobody_knows_is_not_taken_for_one_gpu(emulator: AzureMLEmulator, tmp_path: Path) -> None:
    emulator.place_compute("odd", size="Standard_NC999_v9")
    session = session_of(AzureMLBackend(), tmp_path, compute="odd")
    before = asked(emulator, "/jobs/", "PUT")
    plan = session.plan()
    codes = [finding.code for finding in plan.errors]
    with pytest.raises(AzftError):
        session.submit(plan, accept=codes)
    assert asked(emulator, "/jobs/", "PUT") == before


@pytest.mark.parametrize(("kind", "works"), [("AzureBlob", True), ("AzureDataLakeGen2", True), ("AzureFile", False)])
def test_stores_of_other_kinds(kind: str, works: bool) -> None:
    with AzureMLEmulator(store=kind) as emulator:
        emulator.script(Outcome(seconds=0), always=True)
        emulator.place_compute(CLUSTER, size=SIZE)
        backend = AzureMLBackend(poll=0.05)
        if works:
            assert submitted(backend).id
        else:
            with pytest.raises(UnsupportedError, match="AzureFile, which takes no blobs"):
                submitted(backend)


def test_an_account_without_keys_is_used_with_a_token() -> None:
    with AzureMLEmulator(keys=False) as emulator:
        emulator.script(Outcome(seconds=0), always=True)
        emulator.place_compute(CLUSTER, size=SIZE)
        assert submitted(AzureMLBackend(poll=0.05)).id


class TestAsking:
    @pytest.mark.parametrize(
        "body",
        [{"error": "no"}, {"error": {"message": "x"}}, {"odd": 1}, [], None, 5, {"output": None}, {"choices": []}],
    )
    def test_what_is_no_answer_is_an_error_with_the_body(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, body: Any
    ) -> None:
        endpoint = _deployed(backend)
        emulator.fault("POST", r"inference\.ml\.azure\.com", status=200, body=json.dumps(body).encode())
        with pytest.raises(BackendError) as raised:
            backend.ask(endpoint, [{"role": "user", "content": "Hi"}])
        assert json.dumps(body) in str(raised.value)

    @pytest.mark.parametrize(
        ("status", "hint"), [(404, "traffic"), (408, "180 s"), (424, "own code"), (429, "instances=")]
    )
    def test_each_status_has_its_hint(
        self, backend: AzureMLBackend, emulator: AzureMLEmulator, status: int, hint: str
    ) -> None:
        """Statuses of scoring: Troubleshooting online endpoints."""
        endpoint = _deployed(backend)
        headers = {"ms-azureml-model-error-reason": "model_error"}
        emulator.fault("POST", r"inference\.ml\.azure\.com", status=status, body=b"x", headers=headers)
        with pytest.raises(BackendError, match="model_error") as raised:
            backend.ask(endpoint, [{"role": "user", "content": "Hi"}])
        assert hint in raised.value.hint

    @pytest.mark.parametrize("body", ["text", {"output": "text"}, [{"0": "text"}], {"predictions": ["text"]},
                                      {"choices": [{"message": {"content": "text"}}]}])  # fmt: skip
    def test_every_known_shape_is_read(self, body: Any) -> None:
        assert text_of(body) == "text"


def _deployed(backend: AzureMLBackend) -> Any:
    return backend.deploy(backend.register(submitted(backend), "tuned", {}), "asked")


def test_endpoints_without_keys_are_asked_with_a_token() -> None:
    with AzureMLEmulator() as emulator:
        emulator.script(Outcome(seconds=0), always=True)
        emulator.place_compute(CLUSTER, size=SIZE)
        backend = AzureMLBackend(instance_type=SIZE, auth_mode="aad_token", probe_delay=300, poll=0.05)
        model = backend.register(submitted(backend), "tuned", {})
        endpoint = backend.deploy(model)
        assert endpoint.key == ""
        assert backend.ask(endpoint, [{"role": "user", "content": "Hi"}])
        document = next(iter(emulator.world.state.all("deployments")))
        assert document["properties"]["livenessProbe"]["initialDelay"] == "PT5M"


@pytest.mark.parametrize(
    "change", [{"auth_mode": "none"}, {"instances": 0}, {"probe_delay": 0}, {"request_timeout": 181}]
)
def test_settings_of_endpoints_are_checked_at_once(emulator: AzureMLEmulator, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        AzureMLBackend(**change)


def test_a_download_looks_at_the_disk_first(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="GiB, and"):
        _check_room(tmp_path, 1 << 60, "azureml/x/trained_model/")


def test_a_comparison_looks_at_the_memory_first() -> None:
    check_memory("the tuned model", 1 << 20)
    with pytest.raises(UnsupportedError, match="GiB of memory") as caught:
        check_memory("the tuned model", 1 << 60)
    assert "where='cluster'" in str(caught.value)


def test_kinds_states_and_errors_of_computes_are_read(emulator: AzureMLEmulator, backend: AzureMLBackend) -> None:
    emulator.place_compute("inst", kind="ComputeInstance")
    emulator.place_compute("kube", kind="Kubernetes")
    emulator.place_compute(
        "sick", state="Failed", errors=[("ClusterCoreQuotaReached", "no cores")], nodes=1, region="westus"
    )
    instance, kube, sick = (backend.find_compute(name) for name in ("inst", "kube", "sick"))
    assert instance is not None
    assert kube is not None
    assert sick is not None
    assert (instance.kind, kube.kind, sick.kind) == ("ComputeInstance", "Kubernetes", "")
    assert (sick.state, sick.problems, sick.nodes) == ("Failed", ("ClusterCoreQuotaReached: no cores",), 1)
    assert sick.region == "westus"


def test_tags_that_a_run_cannot_have_are_cut_before(
    backend: AzureMLBackend, emulator: AzureMLEmulator, tmp_path: Path
) -> None:
    from attrs import evolve

    from azft.testing.contract import small_job

    job = small_job(backend, tmp_path, compute=CLUSTER)
    run = backend.submit(evolve(job, tags={f"mine.{n}": "x" * 5000 for n in range(80)}))
    tags = emulator.jobs.get(run.id)["properties"]["tags"]
    assert len(tags) <= 47  # Two are added later, and MLflow takes one of the 50.
    assert max(map(len, tags.values())) <= 1000
    assert "azft.token" in tags
    backend.delete(Resource("run", run.id, "azureml"))
