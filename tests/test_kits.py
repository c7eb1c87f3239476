"""The kits for authors of plugins: azft's own plugins pass them, and each catches every fault that is planted here."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest
from attrs import evolve

import azft
from azft import (
    Backend,
    Column,
    Converter,
    DatasetError,
    Finding,
    FineTuned,
    NamingScheme,
    PipelineTrainer,
    Reader,
    Roles,
    RowFormat,
    Run,
    Script,
    Trainer,
)
from azft.builtin import checks, converters, naming, readers, row_formats, trainers
from azft.domain.rows import Chunk, Part, SourceRow
from azft.testing.kits import BackendContract, CheckKit, ConverterKit, NamingKit, ReaderKit, RowFormatKit, TrainerKit
from azft.testing.kits.checks import sample_plans
from tests.test_pipelines import LACKING
from tests.test_row_formats import BAD, GOOD

ROOT = Path(__file__).parents[1]


def failures(kit: type, **given: Any) -> list[str]:
    """Return the names of the promises that something does not keep."""
    suite = type("Suite", (kit,), given)()
    broken = []
    for name in dir(suite):
        if name.startswith("test_"):
            try:
                getattr(suite, name)()
            except Exception:  # noqa: BLE001 - whatever pytest would count as a failure
                broken.append(name)
    return broken


# --- readers -----------------------------------------------------------------


def rows_of(_rest: str, _split: str) -> Iterator[dict[str, Any]]:
    if _rest != "numbers":
        raise DatasetError(f"there is no {_rest}", hint="numbers")
    return ({"question": f"{n}?", "answer": str(n)} for n in range(20))


GOOD_READER = Reader("kit", rows_of, count=lambda _rest, _split: 20)


def _numbers() -> list[dict[str, Any]]:
    return [{"question": f"{n}?", "answer": str(n)} for n in range(20)]


_KEPT_ROWS = _numbers()
_TIMES = itertools.count()


def _only(rows: Callable[[], Any]) -> Callable[[str, str], Any]:
    """Return a reader's function whose other sources are missing as they should be."""

    def read(rest: str, split: str) -> Any:
        rows_of(rest, split)
        return rows()

    return read


def _once() -> Callable[[], Any]:
    kept = iter(_numbers())
    return lambda: kept


def _any_order() -> Any:
    rows = _numbers()
    random.Random(next(_TIMES)).shuffle(rows)
    return rows


def _parts(**more: Any) -> Reader:
    values = _numbers()

    def read(wanted: Any, _columns: Any = ()) -> Iterator[Chunk]:
        yield Chunk.of("numbers", range(1, 21), [dict(row) for row in values])

    def parts(rest: str, split: str) -> list[Part]:
        rows_of(rest, split)
        return [attrs.evolve(Part("numbers", read, lambda: 20, 20), **more)]

    return Reader("kit", parts=parts)


WRONG_READERS: dict[str, Reader] = {
    "another order each time": evolve(GOOD_READER, read=_only(_any_order)),
    "one iterator for all readings": evolve(GOOD_READER, read=_only(_once())),
    "a count that is wrong": evolve(GOOD_READER, count=lambda _rest, _split: 19),
    "a count that is no number": evolve(GOOD_READER, count=lambda _rest, _split: "20"),  # type: ignore[arg-type,return-value]
    "a foreign error": evolve(GOOD_READER, read=lambda rest, _split: iter({"numbers": _numbers()}[rest])),
    "nothing where nothing is": evolve(GOOD_READER, read=lambda rest, _split: _numbers() if rest == "numbers" else []),
    "rows that are no objects": evolve(GOOD_READER, read=_only(lambda: [("a", n) for n in range(20)])),
    "columns that are no texts": evolve(GOOD_READER, read=_only(lambda: [{1: n} for n in range(20)])),
    "values that JSON has not": evolve(GOOD_READER, read=_only(lambda: [{"a": {n}} for n in range(20)])),
    "rows that it keeps": evolve(GOOD_READER, read=_only(lambda: _KEPT_ROWS)),
    "a scheme with a sign": evolve(GOOD_READER, scheme="Kit Of://"),
    "lines from nought": evolve(GOOD_READER, read=_only(lambda: [SourceRow({"a": n}, "f", n) for n in range(20)])),
    "lines that go down": evolve(
        GOOD_READER, read=_only(lambda: [SourceRow({"a": n}, "f", 99 - n) for n in range(20)])
    ),
    "no rows": evolve(GOOD_READER, read=_only(list)),
    "rows that nobody wanted": _parts(),
    "a part that counts wrongly": _parts(rows=7),
    "a digest of the time": _parts(content=lambda: str(next(_TIMES))),
}


class TestReaders:
    class TestSample(ReaderKit):
        """The sample that ships with azft."""

        reader = next(one for one in readers.azft_readers() if one.scheme == "sample")
        source = "ultrachat"
        split = "train_sft"

    def test_files_pass(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('{"a": 1}\n{"a": 2}\n\n{"a": 3}\n', encoding="utf-8")
        found = next(one for one in readers.azft_readers() if one.scheme == "file")
        missing = str(tmp_path / "none.jsonl")
        assert failures(ReaderKit, reader=found, source=str(path), missing=missing) == []

    def test_a_good_one_passes(self) -> None:
        assert failures(ReaderKit, reader=GOOD_READER, source="numbers") == []

    @pytest.mark.parametrize("fault", WRONG_READERS)
    def test_a_wrong_one_is_caught(self, fault: str) -> None:
        assert failures(ReaderKit, reader=WRONG_READERS[fault], source="numbers")


# --- converters --------------------------------------------------------------

ROW = {"frage": "Wie?", "antwort": "So."}


def talk(question: Any, answer: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]


def convert(row: Mapping[str, Any]) -> Any:
    for name in ("frage", "antwort"):
        if not isinstance(row.get(name), str):
            raise ValueError(f"there is no {name}")  # noqa: TRY004 - what a converter raises
    return talk(row["frage"], row["antwort"])


GOOD_CONVERTER = Converter("kit", convert, needs=(("frage", "antwort"),), reads=("frage", "antwort"))
_KEPT = talk("Wie?", "So.")


def _changes(row: Any) -> Any:
    made = convert(row)
    row.pop("frage")
    return made


def _counts(row: Any) -> Any:
    return [*talk(str(next(_TIMES)), "x")] if convert(row) else []


def _shares(row: Any) -> Any:
    return _KEPT if convert(row) else []


def _breaks(row: Any) -> Any:
    return talk(row["frage"].strip(), row["antwort"].strip())


def _takes_all(row: Any) -> Any:
    return talk(str(row.get("frage")), str(row.get("antwort")))


def _no_words(row: Any) -> Any:
    if not isinstance(row.get("antwort"), str):
        raise ValueError  # noqa: TRY004 - what a converter raises
    return convert(row)


def _tuple(row: Any) -> Any:
    return tuple(convert(row))


def _user_last(row: Any) -> Any:
    return convert(row)[::-1]


def _human(row: Any) -> Any:
    return [{"role": "human", "content": message["content"]} for message in convert(row)]


def _everything(row: Any) -> Any:
    return talk("\n".join(map(str, row.values())), convert(row)[1]["content"])


def _quickly(row: Any) -> Any:
    return talk(row["frage"], "quickly")


WRONG_CONVERTERS: dict[str, Converter] = {
    "changes the row": evolve(GOOD_CONVERTER, convert=_changes),
    "another answer each time": evolve(GOOD_CONVERTER, convert=_counts),
    "hands out what it keeps": evolve(GOOD_CONVERTER, convert=_shares),
    "breaks on what is no text": evolve(GOOD_CONVERTER, convert=_breaks),
    "takes what is missing": evolve(GOOD_CONVERTER, convert=_takes_all),
    "refuses without a word": evolve(GOOD_CONVERTER, convert=_no_words),
    "returns a tuple": evolve(GOOD_CONVERTER, convert=_tuple),
    "ends with the question": evolve(GOOD_CONVERTER, convert=_user_last),
    "roles that nobody knows": evolve(GOOD_CONVERTER, convert=_human),
    "puts every column in": evolve(GOOD_CONVERTER, convert=_everything),
    "a quick way of its own": evolve(GOOD_CONVERTER, quick=_quickly),
    "reads less than it uses": evolve(GOOD_CONVERTER, reads=("antwort",)),
    "needs what is not there": evolve(GOOD_CONVERTER, needs=(("question",),)),
    "sees every row": evolve(GOOD_CONVERTER, detects=lambda _row: "a row"),
    "stays in this process": evolve(GOOD_CONVERTER, convert=lambda row: convert(row)),  # noqa: PLW0108
}
OWN_ROWS: dict[str, dict[str, Any]] = {
    "messages": {"messages": talk("Hi", "Hello.")},
    "sharegpt": {"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Hello."}]},
    "alpaca": {"instruction": "Greet.", "input": "", "output": "Hello."},
}


class TestConverters:
    @pytest.mark.parametrize("name", OWN_ROWS)
    def test_azfts_own_pass(self, name: str) -> None:
        found = {one.name: one for one in converters.azft_converters()}
        assert failures(ConverterKit, converter=found[name], good=[OWN_ROWS[name]]) == []

    def test_a_good_one_passes(self) -> None:
        assert failures(ConverterKit, converter=GOOD_CONVERTER, good=[ROW], bad=[{"frage": "Wie?"}]) == []

    @pytest.mark.parametrize("fault", WRONG_CONVERTERS)
    def test_a_wrong_one_is_caught(self, fault: str) -> None:
        assert failures(ConverterKit, converter=WRONG_CONVERTERS[fault], good=[ROW], bad=[{"frage": "Wie?"}])


# --- row formats -------------------------------------------------------------


def _rhymes(row: Mapping[str, Any]) -> str:
    return "" if row["line"][-1:] == row["rhyme"][-1:] else "the two lines do not rhyme"


MOOD = Column("mood", "label", optional=True)
GOOD_FORMAT = RowFormat(
    "rhymes", [Column("line"), Column("rhyme"), Column("mood", "label", optional=True)], asks="line", check=_rhymes,
    keys={"text_key": "line"},
)  # fmt: skip
RHYMES = [{"line": "the cat", "rhyme": "a hat"}, {"line": "the sun", "rhyme": "some fun", "mood": "glad"}]
NO_RHYME = [{"line": "the cat", "rhyme": "a dog"}]


def _edits(row: Any) -> str:
    row["line"] = "x"
    return ""


def _stateful(_row: Any) -> str:
    return "" if next(_TIMES) % 2 else "every other row"


def _no_text(_row: Any) -> Any:
    return None


def _boolean(row: Any) -> Any:
    return not _rhymes(row)


def _first_word(row: Any) -> str:
    return "" if row["line"].split(" ")[1] else "one word"


def _says_blank(row: Any) -> str:
    return " " if _rhymes(row) else ""


WRONG_FORMATS: dict[str, RowFormat] = {
    "changes the row": evolve(GOOD_FORMAT, check=_edits),
    "says this and then that": evolve(GOOD_FORMAT, check=_stateful),
    "answers with nothing": evolve(GOOD_FORMAT, check=_no_text),
    "answers with True": evolve(GOOD_FORMAT, check=_boolean),
    "breaks on one word": evolve(GOOD_FORMAT, check=_first_word),
    "refuses without a word": evolve(GOOD_FORMAT, check=_says_blank),
    "checks nothing": evolve(GOOD_FORMAT, check=None),
    "asks nothing": evolve(GOOD_FORMAT, asks=()),
    "asks for everything": evolve(GOOD_FORMAT, asks=("line", "rhyme", "mood")),
    "a name with a space": evolve(GOOD_FORMAT, name="my rhymes"),
    "azft's own name": RowFormat("chat"),
    "names a column that may be missing": evolve(GOOD_FORMAT, keys={"label_key": "mood"}),
    "classes that may be missing": evolve(GOOD_FORMAT, classes="mood"),
    "classes that are texts": evolve(GOOD_FORMAT, classes="rhyme"),
    "wants what good rows have not": evolve(GOOD_FORMAT, columns=(Column("line"), Column("rhyme", "texts"), MOOD)),
    "keeps too little": RowFormat("rhymes", [Column("kind", "label"), Column("other")], asks="kind"),
    "stays in this process": evolve(GOOD_FORMAT, check=lambda row: _rhymes(row)),  # noqa: PLW0108
}  # fmt: skip


class TestRowFormats:
    @pytest.mark.parametrize("name", GOOD)
    def test_azfts_own_pass(self, name: str) -> None:
        found = {one.name: one for one in row_formats.azft_row_formats()}
        bad = [row for of, row, _code, _said in BAD if of == name]
        assert failures(RowFormatKit, rows=found[name], good=GOOD[name], bad=bad) == []

    def test_translations_pass(self) -> None:
        good = [{"en": "day", "ro": "zi"}]
        assert failures(RowFormatKit, rows=azft.translation_rows("en", "ro"), good=good) == []

    def test_a_good_one_passes(self) -> None:
        assert failures(RowFormatKit, rows=GOOD_FORMAT, good=RHYMES, bad=NO_RHYME) == []

    @pytest.mark.parametrize("fault", WRONG_FORMATS)
    def test_a_wrong_one_is_caught(self, fault: str) -> None:
        assert failures(RowFormatKit, rows=WRONG_FORMATS[fault], good=RHYMES, bad=NO_RHYME)


# --- naming schemes ----------------------------------------------------------


def _plain(context: Any) -> str:
    return f"{context.model.name}-{context.dataset.name}".replace("/", "-")


def _next_step(context: Any) -> str:
    return f"{_plain(context)}-{context.parameters['max_steps'] + 1}"


GOOD_SCHEME = NamingScheme("kit", _plain, _plain)
WRONG_SCHEMES: dict[str, NamingScheme] = {
    "another name each time": evolve(GOOD_SCHEME, model_name=lambda c: f"{_plain(c)}-{next(_TIMES)}"),
    "one name for all data": evolve(GOOD_SCHEME, model_name=lambda c: c.model.name.replace("/", "-")),
    "one name for all models": evolve(GOOD_SCHEME, model_name=lambda c: c.dataset.name),
    "slashes": evolve(GOOD_SCHEME, model_name=lambda c: f"{c.model.name}-{c.dataset.name}"),
    "spaces": evolve(GOOD_SCHEME, model_name=lambda c: f"tuned {_plain(c)}"),
    "nothing to show": evolve(GOOD_SCHEME, display_name=lambda _c: " "),
    "a line break": evolve(GOOD_SCHEME, display_name=lambda c: f"{_plain(c)}\nsecond"),
    "a number": evolve(GOOD_SCHEME, display_name=lambda _c: 7),  # type: ignore[arg-type,return-value]
    "too long": evolve(GOOD_SCHEME, display_name=lambda c: _plain(c) * 40),
    "an input that not all have": evolve(
        GOOD_SCHEME, display_name=lambda c: f"{_plain(c)}-{c.parameters['max_steps']}"
    ),
    "counts on a number": evolve(GOOD_SCHEME, display_name=_next_step),
    "a label that not all have": evolve(GOOD_SCHEME, display_name=lambda c: c.dataset.label.split("-")[0]),
    "a dot first": evolve(GOOD_SCHEME, model_name=lambda c: f".{_plain(c)}"),
}  # fmt: skip


class TestNamingSchemes:
    class TestTutorial(NamingKit):
        """The names of the tutorial."""

        scheme = naming.azft_naming_schemes()[0]

    def test_a_good_one_passes(self) -> None:
        assert failures(NamingKit, scheme=GOOD_SCHEME) == []

    @pytest.mark.parametrize("fault", WRONG_SCHEMES)
    def test_a_wrong_one_is_caught(self, fault: str) -> None:
        assert failures(NamingKit, scheme=WRONG_SCHEMES[fault])


# --- checks ------------------------------------------------------------------


def _slow_plan() -> Any:
    return sample_plans()["a plan on eight GPUs"]


def _policy(plan: Any) -> list[Finding]:
    if plan.compute.gpus > 4:
        return [
            Finding("ACME-1", "error", plan.compute.name, f"{plan.compute.gpus} GPUs", "at most 4", "a smaller size")
        ]
    return []


def _with(**change: Any) -> Callable[[Any], list[Finding]]:
    return lambda plan: [evolve(finding, **change) for finding in _policy(plan)]


WRONG_CHECKS: dict[str, Callable[[Any], Any]] = {
    "returns nothing": lambda _plan: None,
    "returns texts": lambda plan: [str(finding) for finding in _policy(plan)],
    "another answer each time": lambda plan: [evolve(one, found=str(next(_TIMES))) for one in _policy(plan)],
    "a severity of its own": _with(severity="fatal"),
    "azft's code": _with(code="AZFT-C001"),
    "no code": _with(code=""),
    "a code with a space": _with(code="ACME 1"),
    "no subject": _with(subject=""),
    "no words": _with(found=" "),
    "no way out": _with(fix="", expected=""),
    "says it twice": lambda plan: _policy(plan) * 2,
    "an input that not all have": lambda plan: _policy(plan) if plan.parameters.integer("max_steps") else [],
    "a forecast that not all have": lambda plan: _policy(plan) if plan.forecast.steps > 0 else [],
    "finds nothing": lambda _plan: [],
    "a number in place of words": _with(found=8),
}


class TestChecks:
    class TestOwn(CheckKit):
        """What azft itself says about plans."""

        check = checks.azft_check
        own = "AZFT-"

    def test_a_good_one_passes(self) -> None:
        assert failures(CheckKit, check=_policy, finds=_slow_plan, own="ACME-") == []

    @pytest.mark.parametrize("fault", WRONG_CHECKS)
    def test_a_wrong_one_is_caught(self, fault: str) -> None:
        assert failures(CheckKit, check=WRONG_CHECKS[fault], finds=_slow_plan)


# --- trainers ----------------------------------------------------------------

GOOD_TRAINER = PipelineTrainer("text_classification_pipeline", "text-classification", "text_classification")


def scripted(folder: Path, text: str, **more: Any) -> Script:
    path = folder / "train.py"
    path.write_text(text, encoding="utf-8")
    return Script(path, **more)


LOOP = "from azft.training import current_task\ntask = current_task()\ntask.save(task.load_model())\n"
WRONG_TRAINERS: dict[str, Callable[[Path], Any]] = {
    "rows that nobody knows": lambda _f: evolve(GOOD_TRAINER, rows="text_clasification"),
    "a component that nobody knows": lambda _f: evolve(GOOD_TRAINER, component="text_clasification_pipeline"),
    "an input that is not there": lambda _f: evolve(GOOD_TRAINER, parameters={"learning_rat": 1e-5}),
    "a value that does not fit": lambda _f: evolve(GOOD_TRAINER, parameters={"learning_rate": "fast"}),
    "a word that is none": lambda _f: evolve(GOOD_TRAINER, parameters={"lr_scheduler_type": "sine"}),
    "the user's machine": lambda _f: evolve(GOOD_TRAINER, parameters={"compute_finetune": "my-cluster"}),
    "the user's data": lambda _f: evolve(GOOD_TRAINER, parameters={"train_file_path": "rows.jsonl"}),
    "a role that is not declared": lambda _f: evolve(GOOD_TRAINER, roles=Roles(train="train_path")),
    "an output that is not declared": lambda _f: evolve(GOOD_TRAINER, roles=Roles(output="model")),
    "a key that is not declared": lambda _f: evolve(GOOD_TRAINER, keys={"sentence_key": "text"}),
    "a key without a column": lambda _f: evolve(GOOD_TRAINER, keys={"sentence2_key": "second"}),
    "a task that no card has": lambda _f: evolve(GOOD_TRAINER, task="text-clasification"),
    "a column that nobody names": lambda _f: evolve(GOOD_TRAINER, rows="summarization"),
    "no training data": lambda _f: PipelineTrainer("import_model"),
    "neither script nor pipeline": lambda _f: Trainer("mine"),
    "a script that is not there": lambda folder: Script(folder / "nothing.py"),
    "a script that never asks": lambda folder: scripted(folder, "print('training')\n"),
    "a script that never saves": lambda folder: scripted(folder, LOOP.replace("task.save", "print")),
    "a script that starts processes": lambda folder: scripted(folder, LOOP + "import os\nos.system('torchrun x.py')\n"),
    "a package without a version": lambda folder: scripted(folder, LOOP, packages=("trl",)),
}


class TestTrainers:
    class TestChat(TrainerKit):
        """The pipeline for chat models."""

        trainer = next(one for one in trainers.azft_trainers() if isinstance(one, PipelineTrainer))

    @pytest.mark.parametrize("name", LACKING)
    def test_specs_of_the_inventory_pass(self, name: str) -> None:
        open_inputs = ["test_nothing_that_is_required_is_left_open"]
        assert failures(TrainerKit, trainer=LACKING[name]) in ([], open_inputs)

    @pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "examples/scripts").glob("*.py")))
    def test_the_scripts_of_the_examples_pass(self, name: str) -> None:
        assert failures(TrainerKit, trainer=Script(ROOT / "examples/scripts" / name)) == []

    def test_a_good_one_passes(self, tmp_path: Path) -> None:
        assert failures(TrainerKit, trainer=GOOD_TRAINER) == []
        assert failures(TrainerKit, trainer=scripted(tmp_path, LOOP, packages=("trl==1.9.0",))) == []

    @pytest.mark.parametrize("fault", WRONG_TRAINERS)
    def test_a_wrong_one_is_caught(self, fault: str, tmp_path: Path) -> None:
        try:
            broken = failures(TrainerKit, trainer=WRONG_TRAINERS[fault](tmp_path))
        except azft.ConfigurationError:
            return  # It is refused before any kit sees it.
        assert broken


# --- backends ----------------------------------------------------------------


class Faulty:
    """The local backend with one thing about it that is wrong."""

    def __init__(self, backend: Backend, **wrong: Any) -> None:
        self._backend = backend
        self._wrong = wrong

    def __getattr__(self, name: str) -> Any:
        """Return what is wrong, or what the backend has."""
        return self._wrong[name] if name in self._wrong else getattr(self._backend, name)


def _backwards(backend: Backend) -> Callable[..., Any]:
    return lambda run, **_more: iter(list(backend.events(run))[::-1])


def _fewer_each_time(backend: Backend) -> Callable[..., Any]:
    return lambda run, **_more: iter(list(backend.events(run))[next(_TIMES) % 5 :])


def _silent(backend: Backend) -> Callable[..., Any]:
    return lambda run, **_more: iter([event for event in backend.events(run) if event.kind != "progress"])


def _raises(error: Exception) -> Callable[..., Any]:
    def fail(*_given: Any, **_more: Any) -> Any:
        raise error

    return fail


def _worse(backend: Backend) -> Callable[..., Any]:
    def evaluation(run: Run) -> Any:
        report = backend.evaluation(run)
        return evolve(report, tuned=evolve(report.tuned, loss=report.base.loss + 1))

    return evaluation


def _versions(backend: Backend) -> Callable[..., Any]:
    return lambda run, name, tags: evolve(backend.register(run, name, tags), version=str(next(_TIMES)))


WRONG_BACKENDS: dict[str, tuple[str, Callable[[Backend], dict[str, Any]]]] = {
    "events backwards": ("test_events_tell", lambda b: {"events": _backwards(b)}),
    "other events for another watcher": ("test_events_tell", lambda b: {"events": _fewer_each_time(b)}),
    "events without losses": ("test_events_tell", lambda b: {"events": _silent(b)}),
    "absence by exception": ("test_a_compute", lambda _b: {"find_compute": _raises(LookupError())}),
    "a compute of any name": ("test_a_compute", lambda b: {"find_compute": lambda _name: b.find_compute("")}),
    "no inputs": ("test_the_component", lambda b: {"component": lambda: evolve(b.component(), inputs=())}),
    "a model without defaults": (
        "test_a_model_of", lambda b: {"find_model": lambda spec: evolve(b.find_model(spec), defaults={})}
    ),
    "another run": ("test_a_run_is_found", lambda b: {"find_run": lambda i: evolve(b.find_run(i), display_name="x")}),
    "a run for any id": ("test_an_unknown_run", lambda _b: {"find_run": lambda i: Run(i, "local", "", "", "")}),
    "a foreign error for an unknown id": ("test_an_unknown_run", lambda _b: {"find_run": _raises(KeyError("run"))}),
    "no metrics": ("test_the_result", lambda b: {"result": lambda run: evolve(b.result(run), metrics={})}),
    "tuning made it worse": ("test_the_result", lambda b: {"evaluation": _worse(b)}),
    "a version each time": ("test_a_run_is_registered", lambda b: {"register": _versions(b)}),
    "a state for what never was": (
        "test_a_run_stands", lambda _b: {"state": lambda i: SimpleNamespace(status="completed", deleted=False, run=i)}
    ),
    "no state at all": ("test_a_run_stands", lambda _b: {"state": lambda _i: None}),
}  # fmt: skip
"""Each with the promise that is to catch it."""


class TestBackends:
    @pytest.mark.parametrize("fault", WRONG_BACKENDS)
    def test_a_wrong_one_is_caught(self, tuned: FineTuned, small_session: azft.FineTuneSession, fault: str) -> None:
        promise, wrong = WRONG_BACKENDS[fault]
        backend: Any = small_session.backend
        (name,) = (one for one in dir(BackendContract) if one.startswith(promise))
        suite = BackendContract()
        given = {"backend": backend, "completed": tuned.run, "registered": None, "run_id": "run-000000000000"}
        test = getattr(suite, name)
        wanted = test.__code__.co_varnames[1 : test.__code__.co_argcount]
        if "registered" in wanted:
            given["registered"] = backend.register(tuned.run, "contract-model", {"origin": "contract"})
        test(**{one: given[one] for one in wanted})
        given["backend"] = Faulty(backend, **wrong(backend))
        with pytest.raises((Exception, pytest.fail.Exception)):
            test(**{one: given[one] for one in wanted})
