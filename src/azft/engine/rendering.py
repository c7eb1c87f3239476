"""Run a chat template on a conversation, and know what it is given."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson
from attrs import field, frozen

from azft.errors import AzftError

Messages = Sequence[Mapping[str, Any]]
Tools = Sequence[Mapping[str, Any]]
Span = tuple[int, int]
_FIELDS = ("role", "content", "tool_calls", "tool_call_id", "name")


class TemplateRefusalError(AzftError):
    """A conversation that the template does not write, or not so that the answers can be told apart."""


@frozen(eq=False)
class Renderer:
    """A chat template with the tokenizer's special tokens; `day` is the date that it is told, today's if none is."""

    source: str
    special: Mapping[str, Any] = field(factory=dict)
    day: datetime | None = None

    def write(
        self, messages: Messages, tools: Tools | None, *, prompt: bool = False, track: bool = False
    ) -> tuple[str, tuple[Span, ...]]:
        """Return the text, with the assistant's header behind it for a `prompt`; and to `track`, what is generated.

        Arguments of tool calls are given as objects, or as JSON text to a template that wants them so. Errors:
        `TemplateRefusalError` with what the template said.
        """
        from transformers.utils.chat_template_utils import render_jinja_template

        more: dict[str, Any] = dict(self.special)
        if self.day is not None:
            more["strftime_now"] = self.day.strftime
        forms = (messages, _with_text_arguments(messages)) if has_calls(messages) else (messages,)
        said = ""
        for form in forms:
            try:
                rendered: Any = render_jinja_template(
                    [form],  # type: ignore[list-item]
                    tools=list(tools) if tools else None,  # type: ignore[arg-type]
                    chat_template=self.source,
                    add_generation_prompt=prompt,
                    return_assistant_tokens_mask=track,
                    **more,
                )
            except Exception as error:  # noqa: BLE001 - a template is somebody else's program, and may raise anything
                said = said or str(error).strip().partition("\n")[0] or type(error).__name__
                continue
            texts, found = rendered
            return texts[0], tuple((int(begin), int(end)) for begin, end in (found[0] if track else ()))
        raise TemplateRefusalError(said)


def plain(messages: Messages) -> list[dict[str, Any]]:
    """Return what a template is given: no marks of what is learned, and arguments of tool calls as objects."""
    try:
        return [_plain(message) for message in messages]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        said = f"a tool call is no function with a name and arguments: {type(error).__name__}: {error}"
        raise TemplateRefusalError(said) from error


def content_of(message: Mapping[str, Any]) -> str:
    """Return what a message says, nothing if it only calls tools."""
    content = message.get("content")
    return content if isinstance(content, str) else ""


def has_calls(messages: Messages) -> bool:
    """Return whether any message calls a tool."""
    return any(message.get("tool_calls") for message in messages)


def check_calls(calls: Sequence[Mapping[str, Any]], written: str, number: int) -> None:
    """Refuse a turn that does not hold the names and the arguments of its calls, one call behind the other."""
    at = 0
    for call in calls:
        function = _call(call, parsed=True)["function"]
        begin = written.find(function["name"], at)
        rest = written[begin:]
        if begin < 0 or not all(any(form in rest for form in forms) for forms in _leaves(function["arguments"])):
            raise TemplateRefusalError(f"the chat template does not write the tool call of message {number + 1}")
        at = begin + len(function["name"])


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    made = {name: message[name] for name in _FIELDS if message.get(name) is not None}
    made.setdefault("content", "")
    if "tool_calls" in made:
        made["tool_calls"] = [_call(call, parsed=True) for call in made["tool_calls"]]
    return made


def _with_text_arguments(messages: Messages) -> list[dict[str, Any]]:
    return [
        {**message, "tool_calls": [_call(call, parsed=False) for call in message["tool_calls"]]}
        if message.get("tool_calls")
        else dict(message)
        for message in messages
    ]


def _call(call: Mapping[str, Any], *, parsed: bool) -> dict[str, Any]:
    function = dict(call["function"])
    given = function.get("arguments", {})
    if parsed and isinstance(given, str):
        given = orjson.loads(given)
    elif not parsed and not isinstance(given, str):
        given = orjson.dumps(given).decode()
    return {"type": "function", **call, "function": {**function, "arguments": given}}


def _leaves(value: Any) -> Iterator[tuple[str, ...]]:
    """Yield the names and values within a JSON value, each in the forms that templates write it in."""
    if isinstance(value, Mapping):
        for name, inner in value.items():
            yield (str(name), _escaped(str(name)))
            yield from _leaves(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner)
    elif isinstance(value, str):
        yield (value, _escaped(value), value.replace("'", "\\'"))
    else:
        yield (orjson.dumps(value).decode(), str(value), json.dumps(value))


def _escaped(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)[1:-1]
