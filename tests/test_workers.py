"""Worker processes that prepare data: what they make is what one process makes, to the byte, and none outlives it."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from azft import ConfigurationError, DatasetError, DatasetPreparer, DatasetSpec, PreparedDataset
from azft.gate.workers import group, tasks
from azft.processes import is_alive
from azft.rules.text import conversation_print, ending_print
from azft.stages.standin import build_tokenizer
from benchmarks.planted import good, plant, talk
from tests import own_converters
from tests.conftest import rows_of

SPEC = DatasetSpec("mine", "file://source", train_split="train", test_split="test")


@pytest.fixture(autouse=True)
def small_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make tasks of little, so that little data has many of them."""
    monkeypatch.setattr(tasks, "STRETCH", 10_000)


@pytest.fixture(autouse=True)
def no_process_is_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children(recursive=True)}


def prepared(workers: int, folder: str = "data", spec: DatasetSpec = SPEC, **more: Any) -> PreparedDataset:
    return DatasetPreparer(f"{folder}{workers}", workers=workers, progress=False, **more).prepare(spec)


def parquet(path: Path, rows: list[Any], group: int = 40) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Return a folder of Parquet: faults, duplicates, another column and prompts of the test among the rows."""
    rows: list[Any] = [{**good(number), "topic": "a"} for number in range(900)]
    rows[123] = {**talk(("user", "Question number 123?")), "topic": "b"}
    rows[500] = {**good(499), "topic": "c"}
    rows[501] = {**talk(("user", " question NUMBER 498? "), good(498)["messages"][1].values()), "topic": "c"}
    parquet(tmp_path / "source" / "train-1.parquet", rows[:400])
    parquet(tmp_path / "source" / "train-2.parquet", rows[400:])
    parquet(
        tmp_path / "source" / "test.parquet", [{**good(number), "topic": "a"} for number in (7, *range(2000, 2100))]
    )
    return tmp_path


def files_of(data: PreparedDataset) -> dict[str, bytes]:
    names = ("train.jsonl", "validation.jsonl", "test.jsonl", "bad_rows.jsonl", "duplicates.jsonl", "rejects.jsonl")
    return {name: (data.folder / name).read_bytes() for name in names}


@pytest.mark.parametrize(
    "options",
    [
        {"on_bad": "drop"},
        {"on_bad": "drop", "keep": True, "validation": 0},
        {"on_bad": "drop", "duplicates": "drop", "percent": 35, "sample": "random"},
        {"on_bad": "drop", "percent": 35, "sample": "cluster"},
        {"on_bad": "drop", "percent": 35, "sample": "first"},
        {"on_bad": "drop", "tokenizer": "standin", "max_seq_length": 64},
    ],
    ids=lambda options: " ".join(map(str, options)),
)
@pytest.mark.parametrize("workers", [2, 3])
@pytest.mark.usefixtures("corpus")
def test_they_make_what_one_process_makes(
    options: dict[str, Any], workers: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    if options.get("tokenizer"):
        build_tokenizer(["a text of some words"] * 20).save_pretrained("standin")
    one, several = prepared(1, **options), prepared(workers, **options)
    assert files_of(one) == files_of(several)
    assert one.checks == several.checks
    assert (one.tokens, one.trained_on, one.sha256) == (several.tokens, several.trained_on, several.sha256)
    assert not [record for record in caplog.records if "by this process alone" in record.message]


def test_every_planted_fault_is_found_at_its_line(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    wanted = [plant(tmp_path / "source" / f"train-{name}.jsonl", 600, 60, overlong=0) for name in "abc"]
    spec = DatasetSpec("mine", "file://source", train_split="train")
    with pytest.raises(DatasetError) as caught:
        prepared(2, spec=spec)
    found = {(Path(row.file).name, row.line): row.code for row in caught.value.rows}
    assert found == {
        (f"train-{name}.jsonl", line): code
        for name, lines in zip("abc", wanted, strict=True)
        for line, code in lines.items()
        if code not in ("AZFT-R101", "AZFT-R102")
    }
    assert not list(Path("data2").glob(".*"))


def test_a_file_larger_than_the_shared_memory_is_written_aside_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        lines = (orjson.dumps(good(number, size=900)) for number in range(2_500))
        path = tmp_path / "source" / f"train-{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\n".join(lines))
    spec = DatasetSpec("mine", "file://source", train_split="train")
    slots: list[int] = []
    made = group.Workers.made

    def noted(self: group.Workers, *given: Any) -> Iterator[Any]:
        for answer, lines in made(self, *given):
            slots.append(answer.slot)
            yield answer, lines

    monkeypatch.setattr(group.Workers, "made", noted)
    one, several = prepared(1, spec=spec), prepared(3, spec=spec)
    assert files_of(one) == files_of(several)
    assert -1 in slots


@pytest.mark.parametrize("percent", [100, 60])
def test_a_damaged_file_loses_the_same_rows(tmp_path: Path, percent: float) -> None:
    path = tmp_path / "source" / "train.parquet"
    path.parent.mkdir()
    table = pa.Table.from_pylist([good(number) for number in range(900)])
    pq.write_table(table, path, row_group_size=90, use_dictionary=False)
    content = bytearray(path.read_bytes())
    place = pq.read_metadata(path).row_group(4).column(0).data_page_offset
    content[place + 40 : place + 400] = bytes(360)
    path.write_bytes(content)
    spec = DatasetSpec("mine", "file://source", train_split="train")
    how: dict[str, Any] = {"spec": spec, "on_bad": "drop", "percent": percent, "sample": "random"}
    one, several = prepared(1, **how), prepared(3, **how)
    assert files_of(one) == files_of(several)
    assert one.checks.unread == several.checks.unread
    assert one.checks.bad == 1
    assert "rows" in "".join(one.checks.unread.values())
    assert sum(file.rows for file in (one.train, one.validation, one.test)) > 0.7 * 900 * percent / 100


@pytest.mark.usefixtures("corpus")
def test_a_function_of_the_program_itself_is_called_in_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    one, several = (prepared(workers, on_bad="drop", convert=lambda row: row["messages"]) for workers in (1, 2))
    assert files_of(one) == files_of(several)
    assert "by this process alone" in caplog.text


@pytest.mark.usefixtures("corpus")
def test_a_function_in_a_module_is_called_there_and_may_print(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.INFO)
    one, several = (prepared(workers, on_bad="drop", convert=own_converters.plain) for workers in (1, 2))
    assert files_of(one) == files_of(several)
    assert "by this process alone" not in caplog.text
    assert capfd.readouterr().out.count("the marked row") >= 2


@pytest.mark.usefixtures("corpus")
def test_a_worker_that_is_killed_is_told_and_nothing_is_left() -> None:
    with pytest.raises(DatasetError, match="ended by signal 9") as caught:
        prepared(2, on_bad="drop", convert=own_converters.dies)
    assert "workers=1" in caught.value.hint
    assert not list(Path("data2").iterdir())


@pytest.mark.usefixtures("corpus")
def test_an_error_of_a_worker_comes_out_here() -> None:
    with pytest.raises(MemoryError, match="no more"):
        prepared(2, on_bad="drop", convert=own_converters.runs_out)
    assert not list(Path("data2").iterdir())


@pytest.mark.usefixtures("corpus")
def test_an_interruption_ends_them() -> None:
    with pytest.raises(KeyboardInterrupt):
        prepared(2, on_bad="drop", convert=own_converters.interrupts)
    assert not list(Path("data2").iterdir())


def test_they_end_when_nobody_wants_their_rows(corpus: Path) -> None:
    program = (
        "from azft import DatasetPreparer, DatasetSpec\n"
        "from azft.gate.workers import tasks\n"
        "from tests import own_converters\n"
        "tasks.STRETCH = 10_000\n"
        "spec = DatasetSpec('mine', 'file://source', train_split='train', test_split='test')\n"
        "preparer = DatasetPreparer('data', workers=3, on_bad='drop', convert=own_converters.waits)\n"
        "preparer.prepare(spec)\n"
    )
    root = str(Path(__file__).parents[1])
    with subprocess.Popen([sys.executable, "-c", program], cwd=corpus, env={"PYTHONPATH": root}) as process:
        below = psutil.Process(process.pid)
        until = time.monotonic() + 30
        while len(workers := below.children()) < 3 and time.monotonic() < until:
            time.sleep(0.05)
        time.sleep(1)
        process.kill()
    # One sleeps in the user's function; the others have nobody to tell, and end.
    while len(alive := [worker for worker in workers if is_alive(worker.pid)]) > 1 and time.monotonic() < until + 30:
        time.sleep(0.05)
    for worker in alive:
        worker.kill()
    assert len(workers) == 3
    assert len(alive) <= 1


@pytest.mark.parametrize("workers", [0, -1, 1.5, True, "2"])
def test_a_number_that_cannot_be_is_refused(workers: Any) -> None:
    with pytest.raises(ConfigurationError, match="workers is"):
        DatasetPreparer(workers=workers)


ENDS = st.text(st.sampled_from(list("aBß\u212a\u017f é\n\t \xa0\u3000\x1c.,")), max_size=90)


@given(st.lists(ENDS, min_size=1, max_size=3), ENDS)
def test_conversations_that_are_equal_but_for_case_and_spaces_end_alike(texts: list[str], other: str) -> None:
    talks = [talk(("user", "a"), ("assistant", text))["messages"] for text in (texts[0], other, *variants(texts[0]))]
    for one in talks:
        for two in talks:
            if conversation_print(one, exact=False) == conversation_print(two, exact=False):
                assert ending_print(one) == ending_print(two)


def variants(text: str) -> list[str]:
    """Return the text in other cases and with other spaces."""
    return [text.upper(), text.swapcase(), text.replace(" ", " \t "), f"  {text}\n\n\n", text.replace(" ", " " * 60)]


def test_a_large_split_is_read_by_several_processes_without_being_asked(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("azft.gate.workers.group.LARGE", 1_000)
    monkeypatch.setattr("azft.gate.workers.group.cores", lambda: 2)
    before = children()
    started: set[int] = set()
    begin = group.Workers.__enter__

    def noted(self: group.Workers) -> group.Workers:
        begun = begin(self)
        started.update(children() - before)
        return begun

    monkeypatch.setattr(group.Workers, "__enter__", noted)
    data = DatasetPreparer("data", on_bad="drop", progress=False).prepare(SPEC)
    assert len(started) == 2
    assert len(rows_of(data.test.path)) == 101
    assert corpus
