"""A JSONL file of good conversations with faults of every kind planted in it, and where they are."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import orjson

Row = dict[str, Any]
LONG = 16 << 20


def good(number: int, size: int = 40) -> Row:
    """Return a conversation that is like no other; `size` is about the words of its answers."""
    words = random.Random(number)
    answer = " ".join(f"word{words.randrange(5_000)}" for _word in range(size))
    return talk(("user", f"Question number {number}?"), ("assistant", f"Answer {number}: {answer}"))


def talk(*turns: tuple[Any, Any]) -> Row:
    """Return a row of (role, content) messages."""
    return {"messages": [{"role": role, "content": content} for role, content in turns]}


def _answer(content: Any) -> Callable[[int], Row]:
    return lambda number: talk(("user", f"Question number {number}?"), ("assistant", content))


def _line(row: Any) -> bytes:
    return orjson.dumps(row)


def _roles(*roles: str) -> Callable[[int], Row]:
    return lambda number: talk(*((role, f"{role} {number}") for role in roles))


def _swapped(number: int, old: bytes, new: bytes) -> bytes:
    return _line(_answer("MARK")(number)).replace(old, new)


KINDS: dict[str, list[Callable[[int], Any]]] = {
    "AZFT-R001": [
        lambda number: _line(good(number))[:-4],
        lambda number: _line(good(number)).replace(b'"', b"'"),
        lambda _number: b'{"messages": NaN}',
        lambda _number: b"[" * 3_000,
    ],
    "AZFT-R002": [lambda number: _swapped(number, b"MARK", b"caf\xe9"), lambda _number: b"\xff\xfe{"],
    "AZFT-R003": [lambda number: _swapped(number, b"MARK", b"half \\ud83d pair")],
    "AZFT-R004": [lambda number: _swapped(number, b"MARK", b"nul \\u0000 here")],
    "AZFT-R005": [lambda number: [number], lambda _number: "text", lambda number: number, lambda _number: None],
    "AZFT-R006": [
        lambda number: {"messages": f"text {number}"},
        _answer(None),
        _answer(3.5),
        _answer(["a"]),
        lambda number: {"messages": [f"text {number}"]},
        lambda number: talk((None, f"question {number}"), ("assistant", "answer")),
    ],
    "AZFT-R007": [lambda number: {"prompt": f"text {number}"}, lambda _number: {}],
    "AZFT-R008": [_roles("user", "bot"), _roles("User", "assistant"), _roles("user", "")],
    "AZFT-R009": [
        _roles("user", "user", "assistant"),
        _roles("assistant", "user", "assistant"),
        _roles("user", "system", "assistant"),
        _roles("user", "assistant", "assistant"),
    ],
    "AZFT-R010": [_answer(blank) for blank in ("", " ", "\n\t", "\u3000\u00a0", "\u200b", "\u2028\ufeff")],
    "AZFT-R011": [_roles("system"), _roles("assistant"), lambda _number: {"messages": []}],
    "AZFT-R012": [_roles("user"), _roles("system", "user")],
    "AZFT-R013": [_roles("user", "assistant", "user")],
    "AZFT-R014": [_answer("x" * LONG)],
}
"""Faults that a row shows by itself, by their codes."""


def kinds(count: int, *, overlong: int = 1) -> list[tuple[str, Callable[[int], Any]]]:
    """Return so many faults, every kind in turn; the very long ones are few."""
    each = [(code, make) for code, makes in KINDS.items() for make in makes if code != "AZFT-R014"]
    long = [("AZFT-R014", KINDS["AZFT-R014"][0])] * overlong
    return [*long, *islice(cycle(each), count - overlong)]


def plant(path: Path, rows: int, faults: int, *, seed: int = 0, size: int = 40, overlong: int = 1) -> dict[int, str]:
    """Write `rows` lines of which `faults` are bad, and return their codes by line.

    Of the faults a tenth are duplicates: what an earlier row said, to the letter or but for case and spaces.
    """
    chance = random.Random(seed)
    copied = faults // 10
    places = sorted(chance.sample(range(rows // 2, rows), faults))
    chance.shuffle(places)
    made = dict(zip(places[copied:], kinds(faults - copied, overlong=overlong), strict=True))
    copies = dict(zip(places[:copied], cycle(["AZFT-R101", "AZFT-R102"])))
    found = {line + 1: code for line, (code, _make) in made.items()} | {line + 1: code for line, code in copies.items()}
    originals = iter(chance.sample(range(rows // 2), copied))
    with path.open("wb") as out:
        for number in range(rows):
            if number in made:
                row = made[number][1](number)
            elif number in copies:
                row = _copied(good(next(originals), size), copies[number])
            else:
                row = good(number, size)
            out.write((row if isinstance(row, bytes) else _line(row)) + b"\n")
    return found


def _copied(row: Row, code: str) -> Row:
    if code == "AZFT-R101":
        return row
    return talk(*((message["role"], f"  {message['content'].upper()}\n") for message in row["messages"]))
