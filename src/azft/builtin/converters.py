"""Converters of the formats that chat data comes in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from azft.domain.rows import Fault
from azft.domain.specs import Converter
from azft.plugins import hookimpl
from azft.rules.repair import ALIASES

Row = Mapping[str, Any]
TOOL_FIELDS = ("tools", "functions")
TOOL_ROLES = ("tool", "function", "function_call", "observation")
_TOOL_FIX = "leave these rows out, or convert them with a function of your own (convert=...)"


@hookimpl
def azft_converters() -> list[Converter]:
    """Offer OpenAI's chat files, messages, ShareGPT, Alpaca, and prompt with completion."""
    return [
        Converter("openai", _openai, _sees_openai),
        Converter("messages", lambda row: row["messages"], _sees_messages, ("messages",)),
        Converter("sharegpt", _sharegpt, _sees_sharegpt),
        Converter("alpaca", _alpaca, _has("instruction", "output")),
        Converter("prompt_completion", _prompt_completion, _sees_prompt_completion),
    ]


def _has(*columns: str) -> Callable[[Row], str]:
    def detects(row: Row) -> str:
        return " and ".join(map(repr, columns)) if all(row.get(column) is not None for column in columns) else ""

    return detects


def _listed(row: Row, column: str) -> list[Row]:
    value = row.get(column)
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _sees_messages(row: Row) -> str:
    return "'messages'" if "messages" in row else ""


def _sees_openai(row: Row) -> str:
    """See what only OpenAI's files have: tools, calls, developer turns, content in parts."""
    found = [repr(name) for name in (*TOOL_FIELDS, "parallel_tool_calls") if row.get(name) is not None]
    for message in _listed(row, "messages"):
        found += [repr(name) for name in ("tool_calls", "function_call", "weight") if message.get(name) is not None]
        found += [f"the role {role!r}" for role in ("developer", *TOOL_ROLES) if message.get("role") == role]
        found += ["content in parts"] if isinstance(message.get("content"), list) else []
    return "'messages' with " + ", ".join(dict.fromkeys(found)) if found and "messages" in row else ""


def _openai(row: Row) -> Any:
    if any(row.get(name) for name in TOOL_FIELDS):
        name = next(name for name in TOOL_FIELDS if row.get(name))
        return Fault("AZFT-R015", f"it offers {name!r}, which the chat template is not known to take", _TOOL_FIX)
    messages = row.get("messages")
    if not isinstance(messages, list):
        return messages
    plain = []
    for number, message in enumerate(messages, start=1):
        if not isinstance(message, dict):
            return messages
        fault = _fault_of_openai(message, number)
        if fault:
            return fault
        role = "system" if message.get("role") == "developer" else message.get("role")
        plain.append({**message, "role": role, "content": _text_of(message.get("content"))})
    return plain


def _fault_of_openai(message: Row, number: int) -> Fault | None:
    if message.get("role") in TOOL_ROLES or message.get("tool_calls") or message.get("function_call"):
        return Fault("AZFT-R015", f"message {number} calls a tool or answers for one", _TOOL_FIX)
    if message.get("weight") == 0:
        said = f"message {number} has weight 0, to be left out of the loss, which azft cannot do"
        return Fault("AZFT-R015", said, "end the conversation before it, or remove the weight")
    content = message.get("content")
    if isinstance(content, list) and not all(isinstance(part, dict) and part.get("type") == "text" for part in content):
        return Fault("AZFT-R015", f"message {number} has parts that are not text", "leave these rows out")
    return None


def _text_of(content: Any) -> Any:
    return "\n".join(str(part.get("text", "")) for part in content) if isinstance(content, list) else content


def _sees_sharegpt(row: Row) -> str:
    turns = _listed(row, "conversations")
    return "'conversations' of 'from' and 'value'" if turns and "from" in turns[0] and "value" in turns[0] else ""


def _sharegpt(row: Row) -> Any:
    turns = row.get("conversations")
    if not isinstance(turns, list):
        return Fault("AZFT-R016", "'conversations' is no list", "a list of turns")
    messages = _system(row)
    for number, turn in enumerate(turns, start=1):
        if not isinstance(turn, dict) or not isinstance(turn.get("from"), str):
            said = f"turn {number} is no object with 'from' and 'value'"
            return Fault("AZFT-R016", said, "an object with 'from' and 'value'")
        if turn["from"] in TOOL_ROLES:
            return Fault("AZFT-R015", f"turn {number} calls a tool or answers for one", _TOOL_FIX)
        role = turn["from"].strip().lower()
        messages.append({"role": ALIASES.get(role, role), "content": turn.get("value")})
    return messages


def _alpaca(row: Row) -> Any:
    messages = _system(row)
    for pair in row.get("history") or []:
        if not isinstance(pair, list | tuple) or len(pair) != len(("question", "answer")):
            raise ValueError("'history' is no list of pairs")
        messages += _pair(*pair)
    question, more = row.get("instruction"), row.get("input")
    if isinstance(question, str) and isinstance(more, str) and more.strip():
        question = f"{question}\n\n{more}"
    return [*messages, *_pair(question, row.get("output"))]


def _sees_prompt_completion(row: Row) -> str:
    found = _pair_columns(row)
    return " and ".join(map(repr, found)) if found else ""


def _pair_columns(row: Row) -> tuple[str, str] | None:
    pairs = (("prompt", "completion"), ("prompt", "response"), ("question", "answer"))
    return next((pair for pair in pairs if all(row.get(column) is not None for column in pair)), None)


def _prompt_completion(row: Row) -> Any:
    columns = _pair_columns(row)
    if columns is None:
        raise ValueError("no 'prompt' with a 'completion' (or 'response'), and no 'question' with an 'answer'")
    prompt, completion = (row[column] for column in columns)
    if isinstance(prompt, list) and isinstance(completion, list):
        return [*prompt, *completion]
    return [*_system(row), *_pair(prompt, completion)]


def _system(row: Row) -> list[dict[str, Any]]:
    said = row.get("system")
    return [{"role": "system", "content": said}] if isinstance(said, str) and said.strip() else []


def _pair(question: Any, answer: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
