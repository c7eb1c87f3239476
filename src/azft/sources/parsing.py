"""One JSON text to a value, or to what is wrong with it."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from azft.domain.rows import BadRow, Fault

NOT_JSON = "AZFT-R001"


def parsed(text: bytes, file: str, line: int) -> Any:
    """Return the value, or a `BadRow` that holds the text."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        found = _second_look(text)
    if isinstance(found, Fault):
        return BadRow(file, line, found.reason, found.code, found.fix, original=bytes(text))
    return found


def _second_look(text: bytes) -> Any:
    """Tell broken text from broken JSON; halves of surrogate pairs are read, as a row with them can be fixed."""
    try:
        return json.loads(text.decode(), parse_constant=refuse)
    except UnicodeDecodeError as error:
        said = f"not valid UTF-8: byte 0x{text[error.start]:02x} in column {error.start + 1}"
        return Fault("AZFT-R002", said, "save the file as UTF-8")
    except RecursionError:
        return Fault(NOT_JSON, "not JSON that can be read: nested too deeply", "flatten it")
    except json.JSONDecodeError as error:
        said = f"not JSON: {error.msg.lower()} (column {error.colno})"
        return Fault(NOT_JSON, said, "one whole JSON object on each line")
    except ValueError as error:
        return Fault(NOT_JSON, f"not JSON: {error}", "one whole JSON object on each line")


def refuse(name: str) -> NoReturn:
    """Refuse NaN and the infinities, which Python's own reader takes for JSON."""
    raise ValueError(f"{name} is no JSON number")
