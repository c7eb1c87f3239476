"""Progress of what takes long: uploads, downloads and evaluations on Azure ML, and quiet where it is not wanted."""

from __future__ import annotations

from pathlib import Path

import pytest

from azft import progress
from azft.backends.azureml.backend import AzureMLBackend
from azft.backends.azureml.storage import Storage
from azft.domain.data import DataFile
from azft.testing.emulator import AzureMLEmulator

pytestmark = pytest.mark.shared


class Heard:
    """Steps that remember what they were told."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int | None]] = []
        self.done = 0

    def stage(self, name: str, total: int | None = None) -> None:
        self.stages.append((name, total))

    def advance(self, done: int) -> None:
        self.done += done


def test_a_transfer_tells_whole_megabytes_whatever_the_pieces_are() -> None:
    heard = Heard()
    transfer = progress.Transfer(heard, "uploading", 3_500_000)
    first, second = transfer.hook(), transfer.hook()
    for now in (400_000, 900_000, 900_000, 1_600_000):
        first(now, 1_600_000)
    second(1_900_000, None)
    assert heard.stages == [("uploading, MB", 4)]
    assert heard.done == 3


def test_an_upload_and_a_download_tell_how_far_they_are(
    emulator: AzureMLEmulator,
    backend: AzureMLBackend,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.0)
    path = tmp_path / "train.jsonl"
    path.write_bytes(b"x" * 12_000_000)
    storage = Storage(backend._clients)
    with progress.wanted(enabled=True):
        address = storage.upload(DataFile(path, 1, "0" * 64))[0]
        assert "uploading the data, MB: 12 of 12" in capsys.readouterr().err
        storage.download(address.partition("/paths/")[2], tmp_path / "down")
        assert "downloading train.jsonl, MB: 12 of 12" in capsys.readouterr().err
    storage.download(address.partition("/paths/")[2], tmp_path / "again")
    assert capsys.readouterr().err == ""
    assert (tmp_path / "down" / "train.jsonl").read_bytes() == path.read_bytes()
