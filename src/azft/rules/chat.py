"""Why a row is not a conversation that can be trained on."""

from __future__ import annotations

from typing import Any

ROLES = ("system", "user", "assistant")


def why_not_a_conversation(row: Any) -> str:
    """Return the reason, or nothing for a good row.

    A good row is an object whose `messages` hold an optional system message, then user and assistant in turns,
    starting with the user and ending with the assistant, none of them empty.

    >>> question, answer = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}
    >>> why_not_a_conversation({"messages": [question, answer]})
    ''
    >>> why_not_a_conversation({"messages": [question]})
    'no assistant turn, so there is nothing to learn'
    """
    if not isinstance(row, dict):
        return f"{_kind(row)} instead of an object with 'messages'"
    if "messages" not in row:
        return "no 'messages'" + (f"; it has {', '.join(map(str, list(row)[:5]))}" if row else "; it is empty")
    messages = row["messages"]
    if not isinstance(messages, list):
        return f"'messages' is {_kind(messages)}, expected a list"
    for number, message in enumerate(messages, start=1):
        reason = _why_not_a_message(message)
        if reason:
            return f"message {number} {reason}"
    return _why_not_in_turns([message["role"] for message in messages])


def _why_not_a_message(message: Any) -> str:
    if not isinstance(message, dict):
        return f"is {_kind(message)}, expected an object with 'role' and 'content'"
    for key in ("role", "content"):
        if not isinstance(message.get(key), str):
            return (
                f"has no text {key!r}"
                if key not in message
                else f"has {key!r} of type {_kind(message[key])}, expected text"
            )
    if message["role"] not in ROLES:
        return f"has the unknown role {message['role']!r}, expected one of {', '.join(ROLES)}"
    content = message["content"]
    if not content or content.isspace():
        return f"({message['role']}) is empty"
    if any("\ud800" <= character <= "\udfff" for character in content):
        return "holds half of a surrogate pair, which is not valid text"
    return ""


def _why_not_in_turns(roles: list[str]) -> str:
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if "user" not in turns:
        return "no user turn"
    if "assistant" not in turns:
        return "no assistant turn, so there is nothing to learn"
    for number, role in enumerate(turns):
        expected = "user" if number % 2 == 0 else "assistant"
        if role != expected:
            position = number + 1 + len(roles) - len(turns)
            return f"roles out of order: message {position} is from {role}, expected {expected}"
    return "" if turns[-1] == "assistant" else "the last message is from the user, so its answer is missing"


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true/false", type(None): "null"}
    return names.get(type(value), "a number")
