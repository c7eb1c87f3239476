"""Read the two request shapes: Azure's `/score` and OpenAI's `/v1/chat/completions`."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

MOST_TOKENS = 4096


class BadRequestError(Exception):
    """The body cannot be answered; the text says why."""


@frozen
class Question:
    """A conversation to continue, and how to choose tokens; temperature 0 is greedy."""

    messages: list[dict[str, str]]
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stream: bool = False
    stop: tuple[str, ...] = field(default=())


def read_score(body: Any) -> tuple[list[Question], bool]:
    """Return the questions of Azure's shape, and whether `input_string` was a list of conversations."""
    data = _object(_object(body, "the body").get("input_data"), "'input_data'")
    given = data.get("input_string")
    settings = _object(data.get("parameters", {}), "'parameters'")
    nested = isinstance(given, list) and bool(given) and isinstance(given[0], list)
    conversations: list[Any] = list(given) if nested and isinstance(given, list) else [given]
    sampled = settings.get("do_sample", True) and "temperature" in settings
    return [
        Question(
            _messages(messages, "'input_string'"),
            max_tokens=_whole(settings, "max_new_tokens", 256),
            temperature=_number(settings, "temperature", 0.0, 0.0, 2.0) if sampled else 0.0,
            top_p=_number(settings, "top_p", 1.0, 0.0, 1.0),
        )
        for messages in conversations
    ], nested


def read_chat(body: Any) -> Question:
    """Return the question of OpenAI's shape."""
    request = _object(body, "the body")
    stop = request.get("stop") or ()
    return Question(
        _messages(request.get("messages"), "'messages'"),
        max_tokens=_whole(request, "max_tokens", _whole(request, "max_completion_tokens", 256)),
        temperature=_number(request, "temperature", 0.0, 0.0, 2.0),
        top_p=_number(request, "top_p", 1.0, 0.0, 1.0),
        stream=bool(request.get("stream", False)),
        stop=(stop,) if isinstance(stop, str) else tuple(map(str, stop)),
    )


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{name} must be a JSON object")
    return value


def _messages(value: Any, name: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise BadRequestError(f"{name} must be a list of messages with 'role' and 'content'")
    for number, message in enumerate(value, start=1):
        if not isinstance(message, dict) or not all(isinstance(message.get(key), str) for key in ("role", "content")):
            raise BadRequestError(f"{name}: message {number} must have text 'role' and 'content'")
        if message["role"] not in {"system", "user", "assistant"}:
            raise BadRequestError(f"{name}: message {number} has the unknown role {message['role']!r}")
    turns = [{"role": message["role"], "content": message["content"]} for message in value]
    if turns[-1]["role"] == "assistant":
        turns.pop()  # The notebook sends a whole conversation; what is wanted is an answer to its last question.
    if not turns or turns[-1]["role"] != "user":
        raise BadRequestError(f"{name} holds no question of the user")
    return turns


def _whole(source: dict[str, Any], name: str, default: int) -> int:
    value = source.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS:
        raise BadRequestError(f"{name!r} must be a whole number from 1 to {MOST_TOKENS}")
    return value


def _number(source: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = source.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadRequestError(f"{name!r} must be a number from {low:g} to {high:g}")
    return float(value)
