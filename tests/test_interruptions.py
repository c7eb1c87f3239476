"""Preparing data, killed at any moment or with a full disk, leaves whole files or none, and does not wait for ever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from azft import DatasetPreparer, DatasetSpec, PreparedDataset
from azft.domain.jsonable import from_json
from azft.files import sha256_of
from azft.gate.prefetch import prefetched
from azft.gate.writer import LineWriter
from azft.progress import shown
from benchmarks.planted import good

PREPARE = """
import sys, azft
spec = azft.DatasetSpec("mine", "file://" + sys.argv[1])
azft.DatasetPreparer(sys.argv[2], progress=False, percent=float(sys.argv[3])).prepare(spec)
"""
SPEC_NAME = "mine"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "chats.jsonl"
    path.write_bytes(b"".join(orjson.dumps(good(number, size=60)) + b"\n" for number in range(20_000)))
    return path


def started(source: Path, folder: Path, percent: float = 100.0) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-W", "ignore", "-c", PREPARE, str(source), str(folder), str(percent)]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def whole_or_nothing(folder: Path) -> list[PreparedDataset]:
    """Return what stands under final names, every file of it as its manifest says."""
    found = []
    for path in folder.iterdir():
        if path.name.startswith(".") and path.name.endswith(".tmp"):
            continue
        data = from_json(PreparedDataset, (path / "prepared.json").read_bytes())
        for file in (data.train, data.validation, data.test):
            assert sha256_of(file.path) == file.sha256
            assert file.path.read_bytes().count(b"\n") == file.rows
        found.append(data)
    return found


def kills(source: Path, folder: Path, times: int) -> int:
    """Kill so many preparations at moments spread over their whole length; return how many had ended before."""
    begun = time.monotonic()
    started(source, folder / "first").communicate()
    assert whole_or_nothing(folder / "first")
    length = time.monotonic() - begun
    moments = random.Random(7)
    ended = 0
    for number in range(times):
        # Each asks for something else, so that none is answered from what an earlier one left.
        process = started(source, folder / "data", 90 + number / 10)
        time.sleep(length * moments.uniform(0.2, 1.1))
        ended += process.poll() is not None
        process.send_signal(signal.SIGKILL)
        process.communicate()
        if (folder / "data").exists():
            whole_or_nothing(folder / "data")
    return ended


@pytest.mark.parametrize("times", [8, pytest.param(60, marks=pytest.mark.slow)])
def test_kill_at_any_moment_leaves_whole_files_or_none(source: Path, tmp_path: Path, times: int) -> None:
    assert kills(source, tmp_path, times) < times
    data = DatasetPreparer(tmp_path / "data", progress=False).prepare(DatasetSpec(SPEC_NAME, f"file://{source}"))
    assert data.train.rows + data.validation.rows + data.test.rows == 20_000
    assert data in whole_or_nothing(tmp_path / "data")
    assert not list((tmp_path / "data").glob(".*.tmp"))


def test_an_interrupt_ends_it_at_once_and_tidies_up(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data"
    process = started(source, folder)
    while not list(folder.glob(".prepare*/train.lines")):
        assert process.poll() is None
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert b"KeyboardInterrupt" in said
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_is_an_error_of_the_write_that_met_it() -> None:
    with pytest.raises(OSError, match="No space left"), LineWriter(Path("/dev/full")) as outlet:
        outlet.write([b"x" * 100] * 1_000)


@pytest.mark.parametrize("limit", [4 << 20, 6_000_000])
def test_a_file_that_may_not_grow_is_an_error_and_leaves_nothing(source: Path, tmp_path: Path, limit: int) -> None:
    folder = tmp_path / "split"
    folder.mkdir()
    for split in ("train", "test"):
        (folder / f"{split}.jsonl").symlink_to(source)
    code = f"""
import resource, azft
spec = azft.DatasetSpec("mine", "file://{folder}", test_split="test")
preparer = azft.DatasetPreparer({str(tmp_path / "data")!r}, validation=0, accept=["AZFT-R103"], progress=False)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
try:
    preparer.prepare(spec)
except azft.DatasetError as error:
    print(error)
"""
    said = subprocess.check_output([sys.executable, "-W", "ignore", "-c", code], text=True)
    assert "cannot be read or written" in said
    assert list((tmp_path / "data").iterdir()) == []


def test_a_reader_that_fails_is_heard_and_one_that_is_left_ends() -> None:
    closed = []

    def numbers() -> Iterator[int]:
        try:
            yield from range(5)
            raise ValueError("five")
        finally:
            closed.append(True)

    source = prefetched(numbers())
    assert [next(source) for _number in range(5)] == [0, 1, 2, 3, 4]
    with pytest.raises(ValueError, match="five"):
        next(source)
    for _number in prefetched(numbers()):
        break
    assert len(closed) >= 1


def test_progress_is_told_in_lines_where_nothing_can_be_redrawn(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azft.progress.EVERY", 0.0)
    with shown(enabled=True) as steps:
        steps.stage("check train", 100)
        steps.advance(40)
        steps.advance(40)
    assert capsys.readouterr().err == "check train: 40 of 100\ncheck train: 80 of 100\n"
    with shown(enabled=False) as steps:
        steps.stage("check", 1)
        steps.advance(1)
    assert capsys.readouterr().err == ""


def test_two_at_once_do_not_disturb_each_other(source: Path, tmp_path: Path) -> None:
    both = [started(source, tmp_path / "data", percent) for percent in (50.0, 50.0)]
    assert [process.communicate()[1] for process in both] == [b"", b""]
    (data,) = whole_or_nothing(tmp_path / "data")
    assert data.train.rows + data.validation.rows + data.test.rows == 10_000
    assert os.listdir(tmp_path / "data") == [data.folder.name]
