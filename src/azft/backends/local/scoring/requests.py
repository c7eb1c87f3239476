"""Read the two request shapes: Azure's `/score` and OpenAI's `/v1/chat/completions`.

Of OpenAI's parameters those that are known here do what they say, those that are not are refused by name, and what is
no parameter at all is a typing error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from attrs import field, frozen

from azft.rules.suggest import did_you_mean

MOST_TOKENS = 4096
LEAST_TEMPERATURE = 0.01
"""Below it and above 0 numbers overflow; 0 takes the likeliest token."""
LEAST_TOP_P = 0.001
MOST_STOPS = 4
"""Texts of `stop` that OpenAI takes."""
MOST_MESSAGES = 2048
_TAKEN = ("messages", "model", "max_tokens", "max_completion_tokens", "temperature", "top_p", "stream",
          "stream_options", "stop", "seed", "n", "user", "metadata", "store", "safety_identifier",
          "service_tier")  # fmt: skip
_REFUSED: Mapping[str, tuple[Any, ...]] = {
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "parallel_tool_calls": (None, True, False),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "response_format": (None, {"type": "text"}),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "modalities": (None, ["text"]),
    "audio": (None,),
    "prediction": (None,),
    "reasoning_effort": (None,),
    "verbosity": (None,),
    "web_search_options": (None,),
    "prompt_cache_key": (None,),
}
"""Parameters of OpenAI's that do nothing here, and the values that ask for nothing."""


class BadRequestError(Exception):
    """The body cannot be answered; the text says why, `parameter` which one is meant."""

    def __init__(self, message: str, parameter: str = "") -> None:
        super().__init__(message)
        self.parameter = parameter


@frozen
class Question:
    """A conversation to continue, and how to choose tokens; temperature 0 is greedy."""

    messages: list[dict[str, str]]
    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stream: bool = False
    stop: tuple[str, ...] = field(default=())
    seed: int | None = None
    with_usage: bool = False


def read_score(body: Any) -> tuple[list[Question], bool]:
    """Return the questions of Azure's shape, and whether `input_string` was a list of conversations."""
    data = _object(_object(body, "the body").get("input_data"), "input_data")
    given = data.get("input_string")
    settings = _object(data.get("parameters", {}), "parameters")
    nested = isinstance(given, list) and bool(given) and isinstance(given[0], list)
    conversations: list[Any] = list(given) if nested and isinstance(given, list) else [given]
    sampled = settings.get("do_sample", True) and "temperature" in settings
    return [
        Question(
            _messages(messages, "input_string"),
            max_tokens=_whole(settings, "max_new_tokens", 256),
            temperature=_temperature(settings) if sampled else 0.0,
            top_p=_number(settings, "top_p", 1.0, LEAST_TOP_P, 1.0),
        )
        for messages in conversations
    ], nested


def read_chat(body: Any) -> Question:
    """Return the question of OpenAI's shape."""
    request = _object(body, "the body")
    for name, value in request.items():
        if name in _REFUSED:
            if value not in _REFUSED[name]:
                raise BadRequestError(f"{name!r} is not supported by this endpoint", name)
        elif name not in _TAKEN:
            raise BadRequestError(f"there is no parameter {name!r}; {did_you_mean(name, [*_TAKEN, *_REFUSED])}", name)
    if request.get("n") not in {None, 1}:
        raise BadRequestError("'n' must be 1: this endpoint gives one answer to a request", "n")
    options = _object(request.get("stream_options") or {}, "stream_options")
    seed = request.get("seed")
    if seed is not None and (isinstance(seed, bool) or not isinstance(seed, int) or abs(seed) >= 2**63):
        raise BadRequestError("'seed' must be a whole number of 64 bits", "seed")
    longest = "max_completion_tokens" if request.get("max_completion_tokens") is not None else "max_tokens"
    return Question(
        _messages(request.get("messages"), "messages"),
        max_tokens=_whole(request, longest, 256),
        temperature=_temperature(request),
        top_p=_number(request, "top_p", 1.0, LEAST_TOP_P, 1.0),
        stream=_flag(request, "stream"),
        stop=_stops(request.get("stop")),
        seed=seed,
        with_usage=_flag(options, "include_usage"),
    )


def _object(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{name if name == 'the body' else repr(name)} must be a JSON object", name)
    return value


def _messages(value: Any, name: str) -> list[dict[str, str]]:
    if not isinstance(value, list) or not value:
        raise BadRequestError(f"{name!r} must be a list of messages with 'role' and 'content'", name)
    if len(value) > MOST_MESSAGES:
        raise BadRequestError(f"{name!r} has {len(value)} messages, expected at most {MOST_MESSAGES}", name)
    turns = [_turn(message, number, name) for number, message in enumerate(value, start=1)]
    if turns[-1]["role"] == "assistant":
        turns.pop()  # The notebook sends a whole conversation; what is wanted is an answer to its last question.
    if not turns or turns[-1]["role"] != "user":
        raise BadRequestError(f"{name!r} holds no question of the user", name)
    return turns


def _turn(message: Any, number: int, name: str) -> dict[str, str]:
    if not isinstance(message, dict) or not isinstance(message.get("role"), str):
        raise BadRequestError(f"{name!r}: message {number} must have text 'role' and 'content'", name)
    # OpenAI's newer name for the same thing.
    role = "system" if message["role"] == "developer" else message["role"]
    if role not in {"system", "user", "assistant"}:
        raise BadRequestError(f"{name!r}: message {number} has the unknown role {message['role']!r}", name)
    content = message.get("content")
    if isinstance(content, list):
        parts = [_part(part, number, name) for part in content]
        content = "".join(parts)
    if not isinstance(content, str):
        raise BadRequestError(f"{name!r}: message {number} must have text 'role' and 'content'", name)
    return {"role": role, "content": content}


def _part(part: Any, number: int, name: str) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    kind = part.get("type") if isinstance(part, dict) else type(part).__name__
    raise BadRequestError(f"{name!r}: message {number} has a part of the type {kind!r}; only text is supported", name)


def _stops(value: Any) -> tuple[str, ...]:
    texts = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or len(texts) > MOST_STOPS or not all(isinstance(t, str) and t for t in texts):
        raise BadRequestError(f"'stop' must be a text or a list of up to {MOST_STOPS} texts that are not empty", "stop")
    return tuple(texts)


def _flag(source: dict[str, Any], name: str) -> bool:
    value = source.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequestError(f"{name!r} must be true or false", name)
    return bool(value)


def _whole(source: dict[str, Any], name: str, default: int) -> int:
    value = source.get(name)
    value = default if value is None else value
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_TOKENS:
        raise BadRequestError(f"{name!r} must be a whole number from 1 to {MOST_TOKENS}", name)
    return value


def _temperature(source: dict[str, Any]) -> float:
    value = _number(source, "temperature", 0.0, 0.0, 2.0)
    if 0 < value < LEAST_TEMPERATURE:
        raise BadRequestError(f"'temperature' must be 0 or from {LEAST_TEMPERATURE:g} to 2", "temperature")
    return value


def _number(source: dict[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = source.get(name)
    value = default if value is None else value
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not right or not math.isfinite(value) or not low <= value <= high:
        raise BadRequestError(f"{name!r} must be a number from {low:g} to {high:g}", name)
    return float(value)
