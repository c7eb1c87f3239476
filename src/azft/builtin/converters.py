"""Converters of the formats that chat data comes in."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from operator import itemgetter
from typing import Any, TypeGuard

import orjson

from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.plugins import hookimpl
from azft.rules.messages import TOOL_ROLES, as_text, listed, plain_messages, tools_of
from azft.rules.repair import ALIASES

Row = Mapping[str, Any]
TOOLS = ("tools", "functions")
SYSTEM = ("system", "system_prompt")
PROMPTS, ANSWERS = ("prompt", "question", "query", "input"), ("completion", "response", "answer", "output")
MORE = ("input", "context")
TURN_ROLES = ("system", "developer", "user", "assistant", *TOOL_ROLES)
TURNS = ("conversations", "conversation")
CALLS, ANSWERED = "function_call", ("observation", "tool", "function")
_TOOL_FIX = "leave these rows out, or convert them with a function of your own (convert=...)"


@hookimpl
def azft_converters() -> list[Converter]:
    """Offer messages (OpenAI's chat files among them), ShareGPT, Alpaca, and prompt with completion."""
    messages = ("messages", *TOOLS)
    return [
        Converter("messages", _messages, reads=messages, needs=(("messages",),), quick=itemgetter("messages")),
        Converter("openai", _messages, reads=messages),
        Converter("sharegpt", _sharegpt, reads=(*TURNS, *SYSTEM, *TOOLS), needs=tuple((name,) for name in TURNS)),
        Converter(
            "alpaca",
            _alpaca,
            reads=("instruction", *MORE, *ANSWERS, "history", *SYSTEM),
            needs=tuple(("instruction", answer) for answer in ANSWERS),
        ),
        Converter(
            "prompt_completion",
            _prompt_completion,
            reads=(*PROMPTS, *ANSWERS, *SYSTEM),
            needs=tuple(product(PROMPTS, ANSWERS)),
        ),
    ]


def _messages(row: Row) -> Any:
    messages = plain_messages(row["messages"])
    return messages if isinstance(messages, Fault) else _with_tools(messages, row)


def _with_tools(messages: Any, row: Row) -> Any:
    tools = tools_of(row)
    if tools is None or isinstance(tools, Fault):
        return messages if tools is None else tools
    return {"messages": messages, "tools": tools}


def _sharegpt(row: Row) -> Any:
    name = next((name for name in TURNS if row.get(name) is not None), TURNS[0])
    turns = listed(row.get(name))
    if not isinstance(turns, list):
        return Fault("AZFT-R016", f"{name!r} is no list", "a list of turns")
    messages = _system(row)
    if isinstance(messages, Fault):
        return messages
    for number, turn in enumerate(turns, start=1):
        made = _turn(turn, number)
        if isinstance(made, Fault):
            return made
        messages.append(made)
    return _with_tools(messages, row)


def _turn(turn: Any, number: int) -> dict[str, Any] | Fault:
    """Return a turn of `from` and `value`, or of `role` and `content`, with the marks that it has."""
    if not isinstance(turn, dict) or not isinstance(turn.get("from") or turn.get("role"), str):
        said = f"turn {number} is no object with 'from' and 'value'"
        return Fault("AZFT-R016", said, "an object with 'from' and 'value'")
    sender = (turn.get("from") or turn["role"]).strip().lower()
    value = turn.get("value") if turn.get("value") is not None else turn.get("content")
    more = {name: value for name, value in turn.items() if name not in ("from", "role", "value", "content")}
    if sender == CALLS:
        calls = listed(value)
        calls = [calls] if isinstance(calls, dict) else calls
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            calls = _parsed_call(value)
        if calls is None:
            return Fault("AZFT-R015", f"turn {number} calls a tool in words that are no JSON", _TOOL_FIX)
        called = [{"type": "function", "function": call} for call in calls]
        return {**more, "role": "assistant", "content": "", "tool_calls": called}
    if sender in ANSWERED:
        return {**more, "role": "tool", "content": as_text(value)}
    return {**more, "role": ALIASES.get(sender, sender), "content": value}


def _parsed_call(said: Any) -> list[Any] | None:
    try:
        found = orjson.loads(said)
    except (TypeError, orjson.JSONDecodeError):
        return None
    return [found] if isinstance(found, dict) else None


def _alpaca(row: Row) -> Any:
    messages = _system(row)
    if isinstance(messages, Fault):
        return messages
    for pair in listed(row.get("history") or []):
        if not isinstance(pair, list | tuple) or len(pair) != len(("question", "answer")):
            return Fault("AZFT-R016", "'history' is no list of pairs", "[[question, answer], ...]")
        messages += _pair(*pair)
    question: str = as_text(row.get("instruction"))
    more = as_text(_first(row, MORE))
    return [*messages, *_pair(f"{question}\n\n{more}" if more.strip() else question, _first(row, ANSWERS))]


def _prompt_completion(row: Row) -> Any:
    prompt: Any = _first(row, PROMPTS)
    completion: Any = _first(row, ANSWERS)
    if isinstance(prompt, str) and isinstance(completion, str) and _are_turns(listed(prompt)):
        # A table's cells hold turns only where both do: an answer that is JSON stays what it is.
        parsed: Any = listed(completion)
        if _are_turns(parsed):
            prompt, completion = listed(prompt), parsed
    messages = _system(row)
    if isinstance(messages, Fault):
        return messages
    asked: list[dict[str, Any]] = prompt if _are_turns(prompt) else _pair(prompt, "")[:1]
    answered: list[dict[str, Any]] = completion if _are_turns(completion) else _pair("", completion)[1:]
    if answered[0]["role"] != "assistant" and (asked is not prompt or answered[: len(asked)] == asked):
        asked = []  # The whole conversation stands in the answer's column, its question with it.
    if asked is not prompt and answered is not completion:
        return [*messages, *asked, *answered]
    return plain_messages([*messages, *asked, *answered])


def _first(row: Row, names: tuple[str, ...]) -> Any:
    """Return the value of the first of the columns that says something, or else of the first that is there."""
    there = None
    for name in names:
        value = row.get(name)
        if value is not None and as_text(value).strip():
            return value
        there = value if there is None else there
    return there


def _are_turns(value: Any) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and bool(value) and all(map(_is_turn, value))


def _is_turn(value: Any) -> bool:
    return isinstance(value, dict) and value.get("role") in TURN_ROLES and ("content" in value or "tool_calls" in value)


def _system(row: Row) -> list[dict[str, Any]] | Fault:
    said = _first(row, SYSTEM)
    if said is not None and not isinstance(said, str):
        return Fault("AZFT-R006", "the system prompt is no text", "write it as text, or leave the column out")
    return [{"role": "system", "content": said}] if said and said.strip() else []


def _pair(question: Any, answer: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": as_text(question)}, {"role": "assistant", "content": as_text(answer)}]
