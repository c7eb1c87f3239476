"""Fix rows without inventing anything: what is added is nothing, what is left out is said."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from azft.rules.chat import ROLES, TOOL, fault_of
from azft.rules.learning import is_masked
from azft.rules.text import is_blank, without_surrogates

Messages = list[dict[str, Any]]
ALIASES: Mapping[str, str] = {
    "human": "user",
    "gpt": "assistant",
    "bot": "assistant",
    "chatbot": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "developer": "system",
}
"""Names that other formats have for the three roles."""
MOST = 8
"""Repairs of one row, one after the other, before it is given up."""


def repaired(messages: Any) -> tuple[Messages, str] | None:
    """Return sound messages and what was done, or None where that would take a guess.

    >>> talk = [{"role": "Human", "content": "Hi"}, {"role": "gpt", "content": "Hello"}]
    >>> repaired([*talk, {"role": "Human", "content": " "}])[1]
    'roles renamed; ended before the blank message 3'
    >>> repaired([{"role": "user", "content": "Hi"}])
    """
    done: list[str] = []
    for _again in range(MOST):
        fault = fault_of(messages)
        if fault is None:
            return messages, "; ".join(done)
        fix = _FIXES.get(fault.code)
        outcome = fix(messages) if fix else None
        if outcome is None:
            return None
        messages, what = outcome
        done.append(what)
    return None


def _renamed(messages: Messages) -> tuple[Messages, str] | None:
    if not all(isinstance(message, dict) for message in messages):
        return None
    changed = []
    for message in messages:
        role = message.get("role")
        plain = role.strip().lower() if isinstance(role, str) else ""
        changed.append({**message, "role": ALIASES.get(plain, plain)} if plain else message)
    known = all(message.get("role") in ROLES for message in changed)
    return (changed, "roles renamed") if known and changed != messages else None


def _in_order(messages: Messages) -> tuple[Messages, str] | None:
    """Join neighbours of one role, and leave out a greeting before the first question."""
    changed: Messages = []
    for message in messages:
        if changed and changed[-1]["role"] == message["role"]:
            if any(turn.get("tool_calls") or turn["role"] == TOOL for turn in (changed[-1], message)):
                return None
            if is_masked(changed[-1]) != is_masked(message):
                return None
            changed[-1] = {**changed[-1], "content": f"{changed[-1]['content']}\n\n{message['content']}"}
        else:
            changed.append(message)
    start = 1 if changed[0]["role"] == "system" else 0
    if len(changed) > start and changed[start]["role"] == "assistant":
        del changed[start]
    return (changed, "turns joined, or a greeting left out") if changed != messages else None


def _before_the_blank(messages: Messages) -> tuple[Messages, str] | None:
    number = next(
        index
        for index, message in enumerate(messages)
        if is_blank(message["content"] or "") and not message.get("tool_calls") and message["role"] != TOOL
    )
    if messages[number]["role"] == "system":
        return [*messages[:number], *messages[number + 1 :]], "the blank system message left out"
    kept = _ended(messages[:number])
    return (kept, f"ended before the blank message {number + 1}") if kept else None


def _answered(messages: Messages) -> tuple[Messages, str] | None:
    kept = _ended(messages)
    return (kept, "the question without an answer left out") if kept else None


def _ended(messages: Messages) -> Messages:
    """Return the messages up to the last answer, none if there is no answer."""
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    return messages[: answers[-1] + 1] if answers else []


def _cleaned(what: str, clean: Callable[[str], str]) -> Callable[[Messages], tuple[Messages, str] | None]:
    def cleaned(message: Any) -> Any:
        content = message.get("content") if isinstance(message, dict) else None
        return {**message, "content": clean(content)} if isinstance(content, str) else message

    def fix(messages: Messages) -> tuple[Messages, str] | None:
        return [cleaned(message) for message in messages], what

    return fix


_FIXES: Mapping[str, Callable[[Any], tuple[Messages, str] | None]] = {
    "AZFT-R003": _cleaned("halves of surrogate pairs removed", without_surrogates),
    "AZFT-R004": _cleaned("NUL characters removed", lambda text: text.replace("\0", "")),
    "AZFT-R008": _renamed,
    "AZFT-R009": _in_order,
    "AZFT-R010": _before_the_blank,
    "AZFT-R013": _answered,
}
