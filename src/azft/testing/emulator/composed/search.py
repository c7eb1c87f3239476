"""What a sweep tries: values drawn from its search space, the same every time for the same job.

Both forms that the SDK writes are read: of a sweep job (`["uniform", [0.1, 1]]`) and of a node in a pipeline
(`{"type": "uniform", "min_value": 0.1, "max_value": 1}`).
"""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azft.testing.emulator.wire import WireError, bad_request

MOST_TRIALS, AT_ONCE = 100, 4
"""Trials of a sweep, and how many of them this machine runs side by side whatever was asked; both are ours."""
ALGORITHMS = ("random", "grid", "bayesian")
_SEARCHED = re.compile(r"\$\{\{\s*search_space\.(\w+)\s*\}\}")
_ARGUMENTS: Mapping[str, tuple[str, ...]] = {
    "uniform": ("min_value", "max_value"),
    "loguniform": ("min_value", "max_value"),
    "quniform": ("min_value", "max_value", "q"),
    "qloguniform": ("min_value", "max_value", "q"),
    "normal": ("mu", "sigma"),
    "lognormal": ("mu", "sigma"),
    "qnormal": ("mu", "sigma", "q"),
    "qlognormal": ("mu", "sigma", "q"),
    "randint": ("upper",),
    "choice": ("values",),
}
Term = tuple[str, list[Any]]


def trials_of(seed: str, space: Mapping[str, Any], algorithm: str, most: int) -> list[dict[str, str]]:
    """Return the values of each trial as texts; a grid has every combination of choices, up to `most`.

    >>> trials_of("a", {"lr": ["choice", [[1, 2]]], "bs": ["choice", [[8]]]}, "grid", 9)
    [{'lr': '1', 'bs': '8'}, {'lr': '2', 'bs': '8'}]
    """
    if not 1 <= most <= MOST_TRIALS:
        raise bad_request(f"maxTotalTrials is {most}, expected 1 to {MOST_TRIALS} here", "ValidationError")
    terms = {name: _term(name, given) for name, given in space.items()}
    if not terms:
        raise bad_request("a sweep needs a 'searchSpace'", "ValidationError")
    if algorithm.lower() not in ALGORITHMS:
        raise WireError(501, "EmulatorUnhandled", f"not emulated: the sampling algorithm {algorithm!r}")
    drawn = _grid(terms) if algorithm.lower() == "grid" else _random(terms, random.Random(seed))
    return [{name: str(value) for name, value in values.items()} for values in itertools.islice(drawn, most)]


def filled(command: str, values: Mapping[str, str]) -> str:
    """Return a command with `${{search_space.x}}` put in.

    >>> filled("python t.py --lr ${{search_space.lr}}", {"lr": "0.1"})
    'python t.py --lr 0.1'
    """
    return _SEARCHED.sub(lambda found: values.get(found[1], found[0]), command)


def best_of(scores: Sequence[float | None], goal: str) -> int | None:
    """Return the number of the best trial; None where none has measured anything.

    >>> best_of([None, 2.0, 1.0], "minimize"), best_of([None], "maximize")
    (2, None)
    """
    known = [(score, number) for number, score in enumerate(scores) if score is not None and math.isfinite(score)]
    if not known:
        return None
    best = min(known) if goal.lower() == "minimize" else max(known, key=lambda entry: (entry[0], -entry[1]))
    return best[1]


def _term(name: str, given: Any) -> Term:
    if isinstance(given, Mapping):
        kind = str(given.get("type"))
        values: Any = [given.get(argument) for argument in _ARGUMENTS.get(kind, ())]
    else:
        kind, values = (str(given[0]), given[1]) if isinstance(given, list) and len(given) > 1 else ("", [])
    wanted = _ARGUMENTS.get(kind)
    if wanted is None or not isinstance(values, list) or len(values) != len(wanted) or None in values:
        known = ", ".join(_ARGUMENTS)
        raise bad_request(f"searchSpace {name!r} is {given!r}, expected one of {known} and its values")
    if kind == "choice" and not (isinstance(values[0], list) and values[0]):
        raise bad_request(f"searchSpace {name!r} has no values to choose from")
    return kind, values


def _grid(terms: Mapping[str, Term]) -> Iterator[dict[str, Any]]:
    for name, (kind, _values) in terms.items():
        if kind != "choice":
            raise bad_request(f"searchSpace {name!r} is {kind}: a grid takes choices alone", "ValidationError")
    for row in itertools.product(*(values[0] for _kind, values in terms.values())):
        yield dict(zip(terms, row, strict=True))


def _random(terms: Mapping[str, Term], chance: random.Random) -> Iterator[dict[str, Any]]:
    while True:
        yield {name: _drawn(kind, values, chance) for name, (kind, values) in terms.items()}


def _drawn(kind: str, values: list[Any], chance: random.Random) -> Any:
    if kind == "choice":
        return chance.choice(values[0])
    if kind == "randint":
        return chance.randrange(int(values[0]))
    plain = kind.removeprefix("q").removeprefix("log")
    low, high = float(values[0]), float(values[1])
    drawn = chance.uniform(low, high) if plain == "uniform" else chance.gauss(low, high)
    if "log" in kind:
        drawn = math.exp(drawn)
    return round(drawn / float(values[2])) * float(values[2]) if kind.startswith("q") else drawn
