"""Planted secrets appear nowhere: no log, event, text, file, command line or environment (row R7)."""

from __future__ import annotations

import logging
import os
import stat
import traceback
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from azft import Endpoint, FineTuned, FineTuneSession, RegisteredModel
from azft.backends.azureml.backend import AzureMLBackend
from azft.domain.jsonable import to_json
from azft.errors import AzftError
from azft.testing.contract import SAMPLE
from azft.testing.emulator import AzureMLEmulator
from azft.variables import allowed, hub_secrets
from tests.workspaces import session_of

CANARIES = {
    "AZURE_CLIENT_SECRET": "canary-client-secret-1f2e",
    "HF_TOKEN": "hf_canary-hub-token-77",
    "AZURE_STORAGE_KEY": "canary-storage-key-88==",
    "ALL_PROXY": "http://user:canary-proxy-password@127.0.0.1:9",
    "MY_DATABASE_PASSWORD": "canary-database",
}


def ours() -> Iterator[psutil.Process]:
    for process in psutil.process_iter(["cmdline"]):
        if any("azft.backends.local" in word for word in process.info["cmdline"] or []):
            yield process


def found_in(text: str | bytes, *more: str) -> list[str]:
    plain = text.encode() if isinstance(text, str) else text
    secrets = [*CANARIES.values(), "canary-proxy-password", *more]
    return [secret for secret in secrets if secret.encode() in plain]


def files_with(folder: Path, *more: str) -> list[str]:
    """Return the files that hold a secret."""
    return [str(path) for path in folder.rglob("*") if path.is_file() and found_in(path.read_bytes(), *more)]


@pytest.mark.slow
def test_locally_nothing_leaks_from_plan_to_endpoint(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG)
    for name, value in CANARIES.items():
        monkeypatch.setenv(name, value)
    session = FineTuneSession(
        dataset=SAMPLE, percent=8, folder=tmp_path / "home", parameters={"num_train_epochs": 1}, progress=True
    )
    run = session.submit()
    seen: list[str] = []
    for process in ours():
        seen += found_in("\0".join(process.cmdline()))
        seen += found_in(Path(f"/proc/{process.pid}/environ").read_bytes())
    session.watch(run)
    done = FineTuned(run, session.backend.result(run), session.evaluate(run), session.register(run))
    with session.deploy(done.model) as deployed:
        key = deployed.endpoint.key
        for process in ours():
            seen += found_in("\0".join(process.cmdline()), key)
            seen += found_in(Path(f"/proc/{process.pid}/environ").read_bytes(), key)
        texts = [repr(deployed.endpoint), str(deployed), to_json(deployed.endpoint).decode(), repr(deployed.__dict__)]
        seen += found_in("".join(texts), key)
        seen += files_with(tmp_path, key)
    out, err = capsys.readouterr()
    seen += found_in(caplog.text + out + err + repr(done) + repr(vars(session)), key)
    assert seen == []


def test_files_are_their_owners_alone(tuned: FineTuned, small_session: FineTuneSession) -> None:
    places = [small_session.folder / "data", small_session.folder / "runs" / tuned.run.id]
    files = [
        path for place in places for path in place.rglob("*") if path.is_file() and path.suffix in {".jsonl", ".json"}
    ]
    open_to_others = [
        str(path) for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077 and "events" not in path.name
    ]
    data = [path for path in open_to_others if "/data/" in path]
    assert data == []


def test_on_azure_nothing_leaks_and_the_emulators_keys_are_its_owners(
    emulator: AzureMLEmulator,
    backend: AzureMLBackend,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level(logging.DEBUG, "azft")
    secret = emulator._identity.secret
    session = session_of(backend, tmp_path / "home", progress=True)
    run = session.submit()
    session.watch(run)
    model = session.register(run)
    deployed = session.deploy(model)
    key = deployed.endpoint.key
    emulator.fault(
        "",
        r"\.blob\.",
        status=403,
        code="AuthorizationFailure",
        message=f"no: ?sig={secret}&x Bearer {secret}",
        times=None,
    )
    with pytest.raises(AzftError) as raised:
        session.evaluate(run)
    told = "".join(traceback.format_exception(raised.value))
    out, err = capsys.readouterr()
    everything = told + caplog.text + out + err + repr(deployed.endpoint) + to_json(deployed.endpoint).decode()
    assert found_in(everything, secret, key) == []
    assert files_with(tmp_path / "home", secret, key) == []
    holders = [
        path for path in Path(emulator.world.state.folder).rglob("*.json") if key in path.read_text(encoding="utf-8")
    ]
    assert holders
    assert [oct(path.stat().st_mode & 0o777) for path in holders] == ["0o600"] * len(holders)


def test_a_child_knows_only_what_it_needs() -> None:
    environment = {**dict(os.environ), **CANARIES, "PATH": "/bin", "HF_HOME": "/hub", "OMP_NUM_THREADS": "2"}
    given = allowed(environment)
    assert {"PATH", "HF_HOME", "OMP_NUM_THREADS"} <= set(given)
    assert found_in(repr(given)) == []
    assert set(hub_secrets(CANARIES)) == {"HF_TOKEN", "ALL_PROXY"}


def test_an_endpoint_that_was_written_down_has_no_key() -> None:
    endpoint = Endpoint("e", "http://127.0.0.1:1", RegisteredModel("m", "1", "", "local"), "the-key")
    assert b"the-key" not in to_json(endpoint)
