"""What plugins there are, from which package and version, and what each of them offers."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint

from attrs import field, frozen

from azft import __version__
from azft.domain.mappings import copied
from azft.plugins.manager import Plugins
from azft.views.description import Table, View, Viewed

SHOWN = 8
"""Names of a kind of offer that the table lists."""


@frozen
class Installed:
    """One plugin: its name, the package and version that it comes from, and names of its offers by hook."""

    name: str
    package: str
    version: str = ""
    offers: Mapping[str, tuple[str, ...]] = field(converter=copied, factory=dict)


class InstalledPlugins(Viewed, tuple[Installed, ...]):
    """All plugins in the order they are asked."""

    __slots__ = ()

    def view(self) -> View:
        """Describe them as one table, a row for each kind of offer."""
        rows = [
            (plugin.name, f"{plugin.package} {plugin.version}".strip(), hook, _listed(names))
            for plugin in self
            for hook, names in (plugin.offers or {"nothing": ()}).items()
        ]
        return View("Plugins", f"{len(self)} plugins", (Table("", ("plugin", "from", "hook", "offers"), rows),))


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def installed(plugins: Plugins, entries: Mapping[str, EntryPoint]) -> InstalledPlugins:
    """Return every plugin; `entries` are those that packages bring, by name."""
    offered = plugins.offered()
    return InstalledPlugins(Installed(name, *_origin(name, entries.get(name)), offered[name]) for name in offered)


def _origin(name: str, entry: EntryPoint | None) -> tuple[str, str]:
    """Return the package and the version that a plugin comes from."""
    if entry is not None and entry.dist is not None:
        return entry.dist.name, entry.dist.version
    return ("azft", __version__) if name.startswith("azft.") else ("given in code", "")
