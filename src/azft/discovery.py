"""Find plugins: azft's own first, then those installed under the entry point group `azft`."""

from __future__ import annotations

import inspect
from importlib.metadata import entry_points
from typing import Any

from azft.builtin import (
    backends,
    checks,
    converters,
    datasets,
    log,
    models,
    naming,
    readers,
    recipes,
    row_formats,
    trainers,
)
from azft.errors import ConfigurationError, PluginError
from azft.plugins.catalogue import Catalogue
from azft.plugins.installed import InstalledPlugins, installed
from azft.plugins.manager import Plugins
from azft.ports import (
    Backend,
    ComputeSource,
    Disposer,
    EndpointService,
    ModelSource,
    ModelStore,
    RunService,
)

GROUP = "azft"
PLUGINS = (models, datasets, readers, converters, row_formats, recipes, trainers, naming, backends, checks, log)
LATER = ("trainers", "takes", "run_prefix", "resume", "uploads", "leftovers", "state")
"""Parts of a backend that came after the first release: what needs them says so."""


def load_plugins(*extra: object) -> Plugins:
    """Return the built-in plugins, the installed ones, and `extra` modules or objects, every one of them checked."""
    plugins = Plugins()
    for module in PLUGINS:
        plugins.add(module, module.__name__)
    for entry in sorted(entry_points(group=GROUP), key=lambda found: found.name):
        try:
            plugin = entry.load()
        except (Exception, SystemExit) as error:
            raise PluginError(
                f"plugin {entry.name!r} ({entry.value}) cannot be imported: {type(error).__name__}: {error}",
                hint="repair it, or uninstall the package that brings it",
            ) from error
        plugins.add(plugin, entry.name)
    for plugin in extra:
        if isinstance(plugin, list | tuple | dict | set | str):
            raise ConfigurationError(
                f"load_plugins was given a {type(plugin).__name__}",
                hint="give the plugins one by one: load_plugins(*PLUGINS)",
            )
        plugins.add(plugin, getattr(plugin, "__name__", type(plugin).__name__))
    return plugins


def list_plugins(plugins: Plugins | None = None) -> InstalledPlugins:
    """Return what plugins there are, from which package and version, and what each of them offers."""
    return installed(plugins or load_plugins(), {entry.name: entry for entry in entry_points(group=GROUP)})


def connect(name: str, *, plugins: Plugins | None = None, **settings: Any) -> Backend:
    """Return the backend of that name, connected with its own settings, such as `folder=` for "local"."""
    spec = Catalogue(plugins or load_plugins()).backends.pick(name)
    try:
        inspect.signature(spec.connect).bind(**settings)
    except TypeError as error:
        takes = ", ".join(inspect.signature(spec.connect).parameters) or "none"
        raise ConfigurationError(f"backend {name!r}: {error}", hint=f"its settings: {takes}") from None
    backend: Backend = spec.connect(**settings)
    return checked(backend)


def checked(backend: Any) -> Backend:
    """Return the backend; `ConfigurationError` with every part that it lacks for one that is none."""
    lacks = [name for name in _parts() if not hasattr(backend, name)]
    if not lacks:
        known: Backend = backend
        return known
    kind = type(backend).__name__
    if "submit" in lacks:
        raise ConfigurationError(
            f"backend is a value of type {kind}", hint="give a name, or what azft.connect() returned"
        )
    raise ConfigurationError(
        f"backend {getattr(backend, 'name', kind)!r} lacks {', '.join(lacks)}",
        hint="a backend implements every port of azft.Backend; azft.testing.contract tests it",
    )


def _parts() -> list[str]:
    """Return the names of what every backend has; those that came later may be missing."""
    ports = (ModelSource, ComputeSource, RunService, ModelStore, EndpointService, Disposer)
    return ["name", *(name for port in ports for name in vars(port) if not name.startswith("_") and name not in LATER)]
