"""A session's plugins: registered, checked, and asked. The only module that drives pluggy."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Any

import pluggy

from azft.domain.findings import Finding
from azft.domain.plan import Plan
from azft.domain.run import Run, RunEvent
from azft.errors import AzftError, PluginError
from azft.plugins import spec
from azft.plugins.markers import PROJECT
from azft.rules.suggest import did_you_mean

HOOKS = tuple(name for name in vars(spec) if name.startswith("azft_"))
UNNAMED = ("azft_check", "azft_run_event")
"""Hooks that are no menus."""
_log = logging.getLogger("azft.plugins")


class Plugins:
    """The plugins of one session; nothing about them is global."""

    def __init__(self) -> None:
        self._manager = pluggy.PluginManager(PROJECT)
        self._manager.add_hookspecs(spec)

    def add(self, plugin: object, name: str) -> None:
        """Register a module or object; `PluginError` names it when one of its hooks is wrong."""
        self._refuse_wrappers(plugin, name)
        try:
            self._manager.register(plugin, name)
            self._manager.check_pending()
        except pluggy.PluginValidationError as error:
            raise PluginError(f"plugin {name!r}: {_first_line(error)}", hint=_hint(plugin, error)) from error
        except ValueError as error:
            raise PluginError(f"plugin {name!r} is registered twice", hint="register each plugin once") from error

    def names(self) -> tuple[str, ...]:
        """Return the plugins' names in the order they were registered."""
        return tuple(name for name, _plugin in self._manager.list_name_plugin())

    def offered(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """Return what each plugin offers: the names by hook, "yes" for a hook that offers nothing by name."""
        found: dict[str, dict[str, tuple[str, ...]]] = {name: {} for name in self.names()}
        for hook in HOOKS:
            for implementation in getattr(self._manager.hook, hook).get_hookimpls():
                found[implementation.plugin_name][hook] = ("yes",)
            if hook not in UNNAMED:
                named: dict[str, list[str]] = {}
                for plugin, value in self.offers(hook, object):
                    named.setdefault(plugin, []).append(getattr(value, "name", "") or getattr(value, "scheme", ""))
                for plugin, names in named.items():
                    found[plugin][hook] = tuple(names)
        return found

    def ask(self, hook: str, **arguments: object) -> Iterator[tuple[str, Any]]:
        """Call one hook of every plugin and yield (plugin name, answer), first registered first."""
        for implementation in getattr(self._manager.hook, hook).get_hookimpls():
            given = [arguments[name] for name in implementation.argnames]
            try:
                answer = implementation.function(*given)
            except AzftError:
                raise
            except Exception as error:
                raise PluginError(
                    f"plugin {implementation.plugin_name!r}: {hook} raised {type(error).__name__}: {error}",
                    hint="repair it, or uninstall the package that brings it",
                ) from error
            yield implementation.plugin_name, answer

    def offers(
        self, hook: str, kind: type[Any], others: tuple[type[Any], ...] = (), **arguments: object
    ) -> Iterator[tuple[str, Any]]:
        """Yield (plugin name, value) for everything a hook returns; `PluginError` for a value of another kind."""
        for plugin, values in self.ask(hook, **arguments):
            for value in _listed(plugin, hook, values):
                if not isinstance(value, (kind, *others)):
                    raise PluginError(
                        f"plugin {plugin!r}: {hook} returned {value!r}, expected {kind.__name__} values",
                        hint=f"return a list of azft.{kind.__name__}(...)",
                    )
                yield plugin, value

    def findings(self, plan: Plan) -> tuple[Finding, ...]:
        """Return what every policy has to say about the plan."""
        return tuple(finding for _plugin, finding in self.offers("azft_check", Finding, plan=plan))

    def observe(self, event: RunEvent, run: Run) -> None:
        """Tell every observer; one that fails is logged with its name and does not disturb the rest."""
        for implementation in self._manager.hook.azft_run_event.get_hookimpls():
            with _Guest(implementation.plugin_name):
                given = {"event": event, "run": run}
                implementation.function(*(given[name] for name in implementation.argnames))

    def _refuse_wrappers(self, plugin: object, name: str) -> None:
        for attribute, value in inspect.getmembers(plugin, inspect.isroutine):
            options = getattr(value, f"{PROJECT}_impl", None) or {}
            if options.get("wrapper") or options.get("hookwrapper"):
                raise PluginError(
                    f"plugin {name!r}: {attribute} is a hook wrapper, and a wrapper would change what others offer",
                    hint="use a plain @azft.hookimpl",
                )


class _Guest:
    """Logs whatever an observer raises, with its name: a guest must not end a watch."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, _kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            _log.error("plugin %r failed in azft_run_event", self._plugin, exc_info=error)
            return True
        return False


def _listed(plugin: str, hook: str, values: object) -> Iterable[Any]:
    if values is None:
        return ()
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise PluginError(f"plugin {plugin!r}: {hook} returned {values!r}, expected a list", hint="return a list")
    return values


def _first_line(error: Exception) -> str:
    return str(error).partition("Plugin ")[2].replace("\n", " ") or str(error).splitlines()[0]


def _hint(plugin: object, error: pluggy.PluginValidationError) -> str:
    said = str(error)
    for name, value in inspect.getmembers(plugin, inspect.isroutine):
        if name not in HOOKS and getattr(value, f"{PROJECT}_impl", None) and name in said:
            return did_you_mean(name, HOOKS)
    return "the hooks and their arguments are in docs/hooks.md"
