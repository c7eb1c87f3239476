"""Everything plugins offer, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from azft.domain.pipelines import PipelineTrainer
from azft.domain.row_formats import RowFormat
from azft.domain.specs import BackendSpec, Converter, DatasetSpec, ModelSpec, NamingScheme, Reader, Recipe
from azft.domain.trainers import Script, Trainer
from azft.errors import ConfigurationError, DuplicateNameError, UnknownNameError
from azft.plugins.manager import Plugins
from azft.rules.suggest import did_you_mean

T = TypeVar("T")


class Menu(Generic[T]):
    """Values of one kind by name, each remembered with the plugin that offers it.

    Values of the `others` stand for one of the kind, which `made` makes of them.
    """

    def __init__(
        self,
        plugins: Plugins,
        hook: str,
        kind: type[T],
        *,
        noun: str,
        key: str = "name",
        instead: str = "",
        others: tuple[type[Any], ...] = (),
        made: Callable[[Any], T] | None = None,
    ) -> None:
        self._noun = noun
        self._instead = instead
        self._kind = kind
        self._others = others
        self._made = made
        self._offers: dict[str, tuple[str, T]] = {}
        for plugin, offer in plugins.offers(hook, kind, others):
            value = offer if made is None else made(offer)
            name = getattr(value, key)
            if name in self._offers:
                other = self._offers[name][0]
                raise DuplicateNameError(
                    f"plugins {other!r} and {plugin!r} both offer the {noun} {name!r}",
                    hint="uninstall one of them, or rename its offer",
                )
            self._offers[name] = (plugin, value)

    def __iter__(self) -> Iterator[T]:
        return (value for _plugin, value in self._offers.values())

    def pick(self, choice: object) -> T:
        """Return the value of that name; a value of the right kind is returned as it is."""
        if isinstance(choice, self._kind):
            return choice
        if self._made is not None and isinstance(choice, self._others):
            return self._made(choice)
        if not isinstance(choice, str):
            raise ConfigurationError(
                f"{self._noun} is {choice!r}, expected a name or {self._kind.__name__}", hint=self._instead
            )
        if choice not in self._offers:
            hint = did_you_mean(choice, self._offers)
            raise UnknownNameError(f"no {self._noun} {choice!r}", hint="; ".join(filter(None, (hint, self._instead))))
        return self._offers[choice][1]


class Catalogue:
    """The menus of one session."""

    def __init__(self, plugins: Plugins) -> None:
        other = "any other is azft.ModelSpec(NAME), with weights=FOLDER or HUB ID for this machine"
        self.models = Menu(plugins, "azft_models", ModelSpec, noun="model", instead=other)
        self.datasets = Menu(plugins, "azft_datasets", DatasetSpec, noun="dataset")
        self.readers = Menu(plugins, "azft_readers", Reader, noun="reader for the scheme", key="scheme")
        self.converters = Menu(plugins, "azft_converters", Converter, noun="converter")
        self.recipes = Menu(plugins, "azft_recipes", Recipe, noun="recipe")
        self.naming_schemes = Menu(plugins, "azft_naming_schemes", NamingScheme, noun="naming scheme")
        script = "any other is azft.Script('train.py') or azft.PipelineTrainer(COMPONENT)"
        self.trainers = Menu(
            plugins,
            "azft_trainers",
            Trainer,
            noun="trainer",
            instead=script,
            others=(PipelineTrainer, Script),
            made=Trainer.of,
        )
        self.row_formats = Menu(plugins, "azft_row_formats", RowFormat, noun="row format")
        self.backends = Menu(plugins, "azft_backends", BackendSpec, noun="backend")
