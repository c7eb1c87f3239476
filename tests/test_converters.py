"""Formats are recognised, said, and converted; what cannot be converted has a reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from azft import (
    Converter,
    DatasetError,
    DatasetPreparer,
    DatasetSpec,
    FineTuneSession,
    PreparedDataset,
    UnknownNameError,
    hookimpl,
    load_plugins,
)
from benchmarks.planted import good, talk
from tests.conftest import everything

Make = Callable[[int], Mapping[str, Any]]


def said(number: int) -> tuple[str, str]:
    return f"Question {number}?", f"Answer {number}."


def good_talk(number: int) -> dict[str, Any]:
    question, answer = said(number)
    return talk(("user", question), ("assistant", answer))


def pair(first: str, second: str, **more: Any) -> Make:
    return lambda number: {first: said(number)[0], second: said(number)[1], **more}


FORMATS: dict[str, tuple[str, str, Make]] = {
    "messages": ("messages", "saw 'messages' in 30 of 30 rows", good_talk),
    "ultrachat": (
        "messages",
        "saw 'messages'",
        lambda n: {"prompt": said(n)[0], "prompt_id": "0" * 64, **good_talk(n)},
    ),
    "sharegpt": (
        "sharegpt",
        "saw 'conversations' in 30 of 30 rows",
        lambda n: {"conversations": [{"from": "human", "value": said(n)[0]}, {"from": "gpt", "value": said(n)[1]}]},
    ),
    "alpaca": ("alpaca", "saw 'instruction' and 'output'", pair("instruction", "output", input="")),
    "prompt_completion": ("prompt_completion", "saw 'prompt' and 'completion'", pair("prompt", "completion")),
    "question_answer": ("prompt_completion", "saw 'question' and 'answer'", pair("question", "answer")),
    "openai": (
        "messages",
        "saw 'messages'",
        lambda n: talk(("user", [{"type": "text", "text": said(n)[0]}]), ("assistant", said(n)[1])),
    ),
}


def prepared(source: Path, *, spec: Mapping[str, Any] | None = None, **more: Any) -> PreparedDataset:
    dataset = DatasetSpec("mine", f"file://{source}", **(spec or {}))
    return DatasetPreparer("data", progress=False, **more).prepare(dataset)


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_is_recognised_said_and_converted(jsonl: Callable[..., Path], name: str) -> None:
    converter, saw, make = FORMATS[name]
    data = prepared(jsonl(*map(make, range(30))))
    assert data.converter.startswith(f"{converter} (")
    assert saw in data.converter
    plain = prepared(jsonl(*map(good_talk, range(30)), name="plain.jsonl"))
    assert data.train.sha256 == plain.train.sha256


def test_alpaca_joins_input_history_and_system(jsonl: Callable[..., Path]) -> None:
    row = {"instruction": "Sum", "input": "1 2", "output": "3", "system": "Be short.", "history": [["Hi", "Hello"]]}
    data = prepared(jsonl(row, *map(FORMATS["alpaca"][2], range(30))))
    turns = [
        ("system", "Be short."),
        ("user", "Hi"),
        ("assistant", "Hello"),
        ("user", "Sum\n\n1 2"),
        ("assistant", "3"),
    ]
    assert talk(*turns) in everything(data)


def test_columns_of_another_language_are_mapped(jsonl: Callable[..., Path]) -> None:
    source = jsonl(*map(pair("Frage", "Antwort"), range(30)))
    data = prepared(source, spec={"columns": {"Frage": "question", "Antwort": "answer"}})
    assert data.converter.startswith("prompt_completion (saw 'question' and 'answer'")
    with pytest.raises(
        DatasetError, match=r"rows of 'Frage', 'Antwort'[\s\S]*columns=\{'Frage': 'prompt', 'Ant"
    ) as caught:
        prepared(source)
    assert len(str(caught.value).splitlines()) == 2


def test_the_dataset_or_the_user_may_say_which(jsonl: Callable[..., Path]) -> None:
    rows = [{**good_talk(n), "instruction": f"x {n}", "output": f"y {n}"} for n in range(30)]
    assert prepared(jsonl(*rows), spec={"converter": "alpaca"}).converter.startswith("alpaca")
    with pytest.raises(UnknownNameError, match="alpacca"):
        prepared(jsonl(*rows), spec={"converter": "alpacca"})

    def mine(row: Mapping[str, Any]) -> Any:
        return talk(("user", f"{row['a']}?"), ("assistant", str(10 / row["a"])))["messages"]

    data = prepared(jsonl(*({"a": n} for n in range(30))), convert=mine, on_bad="drop")
    assert "mine was given" in data.converter
    assert dict(data.checks.codes) == {"AZFT-R016": 1}
    with pytest.raises(DatasetError, match="line 1: it cannot be converted: ZeroDivisionError: division by zero"):
        prepared(jsonl(*({"a": n} for n in range(30))), convert=mine)


CALL = [{"id": "1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
TOOLS = [
    {**good_talk(1), "tools": [{"type": "function", "function": {"name": "look"}}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "tool_calls": CALL}, {"role": "tool"}]},
    {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": None, "tool_calls": CALL}]},
    talk(("user", [{"type": "image_url", "image_url": {}}]), ("assistant", "b")),
]


def test_what_a_chat_template_cannot_take_is_refused_with_a_reason(jsonl: Callable[..., Path]) -> None:
    with pytest.raises(DatasetError) as caught:
        prepared(jsonl(*TOOLS, *map(good_talk, range(2, 30))), spec={"converter": "openai"})
    assert [(row.line, row.code) for row in caught.value.rows][::3] == [(1, "AZFT-R015"), (4, "AZFT-R015")]
    assert "nothing proves that its template writes them" in caught.value.rows[0].reason
    developer = talk(("developer", "Be kind."), ("user", "a"), ("assistant", "b"))
    data = prepared(jsonl(developer, *map(good_talk, range(30))), spec={"converter": "openai"})
    assert data.checks.bad == 0


def test_what_messages_hold_beside_role_and_content_is_counted_and_said(jsonl: Callable[..., Path]) -> None:
    rows = [{"messages": [{**turn, "name": "Ann"} for turn in good_talk(n)["messages"]]} for n in range(30)]
    data = prepared(jsonl(*rows))
    assert dict(data.checks.ignored) == {"name": 60}
    assert "name of 60 messages" in str(data.report())


def test_other_columns_are_kept_if_asked(jsonl: Callable[..., Path]) -> None:
    rows = [{"id": n, **good_talk(n)} for n in range(30)]
    data = prepared(jsonl(*rows), keep=True, validation=0)
    assert all("id" in row for row in everything(data))


def test_a_plugin_brings_a_converter(jsonl: Callable[..., Path]) -> None:
    module = ModuleType("acme")

    def azft_converters() -> list[Converter]:
        return [Converter("acme", lambda row: talk(("user", row["q"]), ("assistant", row["a"]))["messages"], sees)]

    def sees(row: Mapping[str, Any]) -> str:
        return "'q' and 'a'" if "q" in row else ""

    module.azft_converters = hookimpl(azft_converters)  # type: ignore[attr-defined]
    source = jsonl(*map(pair("q", "a"), range(30)))
    plugins = load_plugins(module)
    data = DatasetPreparer("data", plugins=plugins).prepare(DatasetSpec("mine", f"file://{source}"))
    assert data.converter == "acme (saw 'q' and 'a' in 30 of 30 rows)"
    session = FineTuneSession(dataset=DatasetSpec("mine", f"file://{source}"), plugins=plugins, progress=False)
    assert not session.plan().errors


def test_a_session_prepares_and_then_plans_with_what_it_found(jsonl: Callable[..., Path]) -> None:
    source = jsonl(*map(good, range(60)), good(1))
    session = FineTuneSession(
        dataset=DatasetSpec("mine", f"file://{source}"), progress=False, parameters={"max_seq_length": 64}
    )
    before = session.plan()
    data = session.prepare(before)
    assert data.train.rows + data.validation.rows + data.test.rows == 61
    assert (dict(data.checks.codes), dict(data.checks.duplicates)) == ({}, {"AZFT-R101": 1})
    strict = FineTuneSession(dataset=source, duplicates="raise", progress=False)
    with pytest.raises(DatasetError, match=r"AZFT-R101[\s\S]*duplicates=\"keep\""):
        strict.prepare()
    session = FineTuneSession(
        dataset=DatasetSpec("mine", f"file://{source}"),
        progress=False,
        on_bad="drop",
        parameters={"max_seq_length": 64},
    )
    data = session.prepare()
    plan = session.plan()
    assert plan.look is not None
    assert plan.forecast is not None
    assert data.tokens is not None
    assert (plan.look.looked_at, plan.look.tokens) == (61, data.tokens.mean)
    assert (plan.forecast.train_rows, plan.forecast.validation_rows) == (data.train.rows, data.validation.rows)
    assert any(finding.code == "AZFT-D005" for finding in plan.findings)
