"""Merge parameter layers, strongest first, and remember where every value came from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from attrs import frozen

from azft.domain.component import Component, ComponentInput
from azft.domain.findings import Severity
from azft.domain.parameters import Layer, Parameters, ParameterValue, Resolved
from azft.rules.inputs import Refused, read_value
from azft.rules.suggest import did_you_mean

USER = "user"
RECIPE = "recipe"
MODEL = "model defaults"
TRAINER = "trainer"
AZFT = "azft defaults"
COMPONENT = "component defaults"
BOUNDS = {"learning_rate_min": ("learning_rate", "at least"), "learning_rate_max": ("learning_rate", "at most")}
"""Keys of a model's defaults that are limits for another parameter, not inputs."""


@frozen
class Problem:
    """One thing wrong with one parameter."""

    name: str
    source: str
    found: str
    expected: str
    fix: str = ""
    code: str = "AZFT-P002"
    severity: Severity = "error"

    def __str__(self) -> str:
        said = f"{self.name} ({self.source}): {self.found}, expected {self.expected}"
        return f"{said} ({self.fix})" if self.fix else said


def resolve(
    layers: Sequence[Layer], component: Component, filled: Collection[str] = ()
) -> tuple[Parameters, tuple[Problem, ...]]:
    """Return every input's value with provenance, and all problems; a refused value gives way to the next layer.

    `layers` go from strongest to weakest; the component's own defaults come last by themselves. Nobody has to give what
    azft fills itself.

    >>> c = Component("c", "1", (ComponentInput("seed", "integer", 42),))
    >>> parameters, problems = resolve([Layer("user", {"seed": "x", "sed": 1})], c)
    >>> parameters["seed"], str(problems[0]), problems[1].fix
    (42, "seed (user): 'x', expected a whole number", "did you mean 'seed'?")
    """
    problems: list[Problem] = []
    entries = [_resolve_one(known, layers, problems, filled) for known in component.inputs]
    names = [known.name for known in component.inputs]
    for layer in layers:
        problems.extend(
            Problem(
                name,
                layer.source,
                "no such parameter",
                f"an input of {component.name} {component.version}",
                did_you_mean(name, names),
                "AZFT-P001",
            )
            for name in layer.values
            if name not in names and not (layer.source == MODEL and name in BOUNDS)
        )
    parameters = Parameters(tuple(entries))
    return parameters, (*problems, *_outside_bounds(layers, parameters))


def _resolve_one(
    known: ComponentInput, layers: Sequence[Layer], problems: list[Problem], filled: Collection[str]
) -> Resolved:
    offers: list[tuple[str, ParameterValue]] = []
    default = read_value(known, known.default)
    for layer in layers:
        if known.name not in layer.values:
            continue
        read = read_value(known, layer.values[known.name])
        if isinstance(read, Refused):
            problems.append(Problem(known.name, layer.source, read.found, read.expected, code=read.code))
        else:
            # Nothing means "leave it to the component".
            offers.append((layer.source, read if read is not None or isinstance(default, Refused) else default))
    if isinstance(default, Refused) and not offers and known.name not in filled:
        problems.append(Problem(known.name, COMPONENT, "no value", "one, the component requires it", code="AZFT-P006"))
    offers.append((COMPONENT, None if isinstance(default, Refused) else default))
    (source, value), *displaced = offers
    return Resolved(known.name, value, source, tuple(offer for offer in displaced if offer[1] is not None))


def _outside_bounds(layers: Sequence[Layer], parameters: Parameters) -> Iterable[Problem]:
    limits = {
        name: layer.values[name] for layer in layers if layer.source == MODEL for name in BOUNDS if name in layer.values
    }
    for key, raw in limits.items():
        name, word = BOUNDS[key]
        limit = read_value(ComponentInput(key, "number"), raw)
        if name not in parameters or not isinstance(limit, int | float):
            continue
        value = parameters.number(name)
        if (word == "at least" and value < limit) or (word == "at most" and value > limit):
            entry = parameters.explain(name)
            yield Problem(
                name, entry.source, f"{value:g}", f"{word} {limit:g}, says {key} of the model", code="AZFT-P007"
            )
