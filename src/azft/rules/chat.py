"""Why a row is not a conversation that can be trained on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, filterfalse, repeat
from operator import contains
from typing import Any

import orjson

from azft.domain.rows import Fault
from azft.rules.learning import is_masked
from azft.rules.text import BLANK, has_surrogate, is_blank

ROLES = ("system", "user", "assistant")
TOOL = "tool"
"""The role of what a tool answered; only where a conversation calls tools."""


def are_sound(talks: Sequence[Any]) -> bool:
    """Return whether every one is a list of sound messages with role and content alone.

    The verdict of `fault_of` in a fraction of the time, but for halves of surrogate pairs, which a serialiser finds,
    and for system messages, which it does not know: nearly every row is good, and the loops run in C.

    >>> are_sound([[{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]]), are_sound([[]])
    (True, False)
    """
    try:
        messages = list(chain.from_iterable(talks))
        roles = [message["role"] for message in messages]
        texts = [message["content"] for message in messages]
        if roles != ["user", "assistant"] * (len(roles) // 2) or sum(map(len, messages)) != 2 * len(messages):
            return False
        if set(map(type, talks)) - {list} or not all(talks) or any(len(talk) % 2 for talk in talks):
            return False
        if not all(texts) or any(map(str.isspace, texts)) or any(map(contains, texts, repeat("\0"))):
            return False
        return all(map(str.strip, filterfalse(str.isascii, texts), repeat(BLANK)))
    except (KeyError, TypeError):
        return False


def why_not_a_conversation(row: Any) -> str:
    """Return the reason, or nothing for a good row; a good row is an object whose `messages` are a conversation.

    >>> question, answer = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    >>> why_not_a_conversation({"messages": [question, answer]})
    ''
    >>> why_not_a_conversation({"messages": [question]})
    'no assistant turn, so there is nothing to learn'
    """
    fault = not_an_object(row) or fault_of(row["messages"])
    return fault.reason if fault else ""


def not_an_object(row: Any) -> Fault | None:
    """Return what is wrong with a row that is no object, or has no `messages`."""
    if not isinstance(row, Mapping):
        said = f"{kind_of(row)} instead of an object with 'messages'"
        return Fault("AZFT-R005", said, "one object for each conversation")
    if "messages" not in row:
        said = "no 'messages'" + (f"; it has {', '.join(map(str, list(row)[:5]))}" if row else "; it is empty")
        return Fault("AZFT-R007", said, "name the columns (columns={...}), the converter, or a function (convert=...)")
    return None


def fault_of(messages: Any) -> Fault | None:
    """Return the first thing that is wrong with the messages, or None.

    They are an optional system message, then user and assistant in turns, starting with the user and ending with
    the assistant, none of them blank. An assistant that calls tools is answered by them before it goes on. A message of
    weight 0 is not learned, and one answer at least must be.
    """
    if not isinstance(messages, list):
        return Fault("AZFT-R006", f"'messages' is {kind_of(messages)}, expected a list", "a list of messages")
    for number, message in enumerate(messages, start=1):
        fault = _fault_of_message(message, number)
        if fault:
            return fault
    return _fault_of_turns(messages)


def _fault_of_message(message: Any, number: int) -> Fault | None:
    return _fault_of_shape(message, number) or _fault_of_text(message, message["content"] or "", number)


def _fault_of_shape(message: Any, number: int) -> Fault | None:
    if not isinstance(message, dict):
        said = f"message {number} is {kind_of(message)}, expected an object with 'role' and 'content'"
        return Fault("AZFT-R006", said, "an object with 'role' and 'content'")
    calls = message.get("tool_calls")
    for key in ("role", "content"):
        if not isinstance(message.get(key), str) and not (key == "content" and calls and message.get(key) is None):
            found = f"has {key!r} of type {kind_of(message[key])}" if key in message else f"has no {key!r}"
            return Fault("AZFT-R006", f"message {number} {found}, expected text", f"give it a text {key!r}")
    return _fault_of_calls(calls, number) if calls else None


def _fault_of_calls(calls: Any, number: int) -> Fault | None:
    for call in calls if isinstance(calls, list) else [None]:
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or not isinstance(function.get("name"), str):
            said = f"message {number} has a tool call without a function's name"
            return Fault("AZFT-R006", said, '{"type": "function", "function": {"name": ..., "arguments": {...}}}')
        if not isinstance(function.get("arguments", {}), dict) and not _is_json_object(function["arguments"]):
            said = f"message {number} calls {function['name'][:40]!r} with arguments that are no JSON object"
            return Fault("AZFT-R006", said, "an object, or its JSON text")
    return None


def _is_json_object(value: Any) -> bool:
    try:
        return isinstance(orjson.loads(value), dict)
    except orjson.JSONDecodeError:
        return False


def _fault_of_text(message: Mapping[str, Any], content: str, number: int) -> Fault | None:
    role = message["role"]
    if role not in (*ROLES, TOOL):
        said = f"message {number} has the unknown role {role[:40]!r}, expected one of {', '.join(ROLES)}"
        return Fault("AZFT-R008", said, "rename the role")
    if is_blank(content) and role != TOOL and not message.get("tool_calls"):
        return Fault("AZFT-R010", f"message {number} ({role}) is empty", "fill it in, or end before it")
    if "\0" in content:
        return Fault("AZFT-R004", f"message {number} ({role}) holds a NUL character", "remove it")
    if has_surrogate(content):
        said = f"message {number} ({role}) holds half of a surrogate pair, which is not valid text"
        return Fault("AZFT-R003", said, "remove it, or write the whole character")
    return None


def _fault_of_turns(messages: Sequence[Mapping[str, Any]]) -> Fault | None:
    roles = [message["role"] for message in messages]
    if "user" not in roles:
        return Fault("AZFT-R011", "no user turn", "a conversation needs a question")
    if "assistant" not in roles:
        return Fault("AZFT-R012", "no assistant turn, so there is nothing to learn", "a conversation needs an answer")
    expected: tuple[str, ...] = ("system", "user")
    for number, message in enumerate(messages, start=1):
        role = message["role"]
        if role not in expected:
            wanted = " or ".join(name for name in expected if name != "system" or number == 1)
            said = f"roles out of order: message {number} is from {role}, expected {wanted}"
            return Fault("AZFT-R009", said, "user and assistant take turns, after one system message at most")
        expected = _next(role, calls=bool(message.get("tool_calls")))
    if all(is_masked(message) for message in messages if message["role"] == "assistant"):
        return Fault("AZFT-R012", "every answer is marked as not to be learned", "leave the row out")
    if roles[-1] == "assistant":
        return None
    said = f"the last message is from the {roles[-1]}, so its answer is missing"
    return Fault("AZFT-R013", said, "add the answer, or end the conversation before the question")


def _next(role: str, *, calls: bool) -> tuple[str, ...]:
    """Return the roles that may follow."""
    if role == "assistant":
        return (TOOL,) if calls else ("user",)
    return {"system": ("user",), "user": ("assistant",), TOOL: (TOOL, "assistant")}[role]


def kind_of(value: object) -> str:
    """Return what a JSON value is, in words."""
    names = {dict: "an object", list: "a list", str: "text", bool: "true/false", type(None): "null"}
    return names.get(type(value), "a number")
