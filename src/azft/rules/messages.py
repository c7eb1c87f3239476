"""The shapes that messages come in, made into one: a list of objects with role and content."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

import orjson

from azft.domain.rows import Fault

TOOL_ROLES = ("tool", "function", "observation")
_TEXT_FIX = "write it as text, or leave these rows out"


def listed(value: Any) -> Any:
    """Return turns as a list of objects, whichever of the usual ways they are written in; anything else as it is.

    A JSON text of a list, as a CSV cell holds it; an object of lists, one of each field; and a list of JSON texts.

    >>> listed('[{"role": "user"}]'), listed({"role": ["user"], "content": ["Hi"]}), listed(['{"role": "user"}'])
    ([{'role': 'user'}], [{'role': 'user', 'content': 'Hi'}], [{'role': 'user'}])
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        value = _parsed(value)
    if isinstance(value, dict) and value and all(isinstance(column, list) for column in value.values()):
        if len({len(column) for column in value.values()}) > 1:
            return value
        return [dict(zip(value, cells, strict=True)) for cells in zip(*value.values(), strict=True)]
    if isinstance(value, list) and value and all(_is_map(item) for item in value):
        return [dict(item) for item in value]
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        found = [_parsed(item) for item in value]
        return found if all(isinstance(item, dict) for item in found) else value
    return value


def _is_map(value: Any) -> bool:
    """Return whether a value is an object as a table's map column gives it: a list of pairs."""
    return isinstance(value, list) and bool(value) and all(isinstance(pair, tuple) for pair in value)


def plain_messages(messages: Any) -> Any:
    """Return messages of OpenAI's shape with text contents, system for developer, and tool calls; or a `Fault`.

    What is no list of objects comes back as it is, for the checks to name.
    """
    messages = listed(messages)
    if not isinstance(messages, list):
        return messages
    plain: list[Any] = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            return messages
        made = _plain(message, number)
        if isinstance(made, Fault):
            return made
        plain.append(made)
    return plain


def tools_of(row: Mapping[str, Any]) -> Any:
    """Return the tools that a row offers, None if it offers none, or a `Fault` for what are no tools."""
    for name in ("tools", "functions"):
        tools = listed(row.get(name))
        if not tools:
            continue
        if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
            return Fault("AZFT-R006", f"{name!r} is no list of objects", "a list of JSON schemas of functions")
        made = [without_nulls(tool if "function" in tool else {"type": "function", "function": tool}) for tool in tools]
        if not all(isinstance(tool["function"].get("name"), str) for tool in made):
            return Fault("AZFT-R006", f"{name!r} holds a function without a name", 'give each a text "name"')
        return made
    return None


def without_nulls(value: Any) -> Any:
    """Return a JSON value without the fields that are null: a table's columns give every object all of them."""
    if isinstance(value, dict):
        return {name: without_nulls(inner) for name, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


def as_text(value: Any) -> str:
    """Return a cell as text: nothing for null, and JSON for a value of JSON; `ValueError` for what is no text.

    >>> as_text(None), as_text("x"), as_text(2), as_text([1, "é"]), as_text(float("nan"))
    ('', 'x', '2', '[1,"é"]', '')
    """
    if isinstance(value, str):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float) and math.isinf(value):
        raise ValueError("an infinite number is no text")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, date | Decimal):
        return str(value)
    return orjson.dumps(value, default=str).decode()


def _parsed(text: str) -> Any:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


def _plain(message: Mapping[str, Any], number: int) -> dict[str, Any] | Fault:
    made = {name: value for name, value in message.items() if value is not None or name == "content"}
    role = made.get("role")
    if role == "developer":
        made["role"] = "system"
    elif role in TOOL_ROLES:
        made["role"] = "tool"
        made["content"] = as_text(made.get("content"))
    call = made.pop("function_call", None)
    if call:
        made["tool_calls"] = [{"type": "function", "function": call}]
    if "tool_calls" in made:
        calls = listed(made["tool_calls"])
        if not calls:
            del made["tool_calls"]
        else:
            made["tool_calls"] = without_nulls(calls)
            made["content"] = made.get("content") or ""
    content = made.get("content")
    if isinstance(content, list):
        text = _joined(content, number)
        if isinstance(text, Fault):
            return text
        made["content"] = text
    return made


def _joined(parts: list[Any], number: int) -> Any:
    """Return the text of OpenAI's content parts; parts of any other shape are left for the checks to name."""
    if not parts or not all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in parts):
        return parts
    for place, part in enumerate(parts, start=1):
        if part["type"] != "text":
            said = f"message {number} has a part that is no text ({part['type'][:40]!r})"
            return Fault("AZFT-R015", said, "leave these rows out")
        if not isinstance(part.get("text"), str):
            return Fault("AZFT-R006", f"message {number}, part {place} has no text", _TEXT_FIX)
    return "\n".join(part["text"] for part in parts)
