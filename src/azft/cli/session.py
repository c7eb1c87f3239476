"""From a command's options and a file to a session."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from azft.session import FineTuneSession

F = TypeVar("F", bound=Callable[..., Any])
_OPTIONS = (
    click.option("--file", "-f", type=click.Path(dir_okay=False), help="Settings: a YAML or TOML file."),
    click.option("--model", "-m", help="A model on offer, such as Phi-4."),
    click.option("--weights", help="Weights of the model: a folder, a GGUF file or a hub id."),
    click.option("--dataset", "-d", help="A dataset on offer, a file, a folder or an address."),
    click.option("--backend", "-b", help="Where to run: local, azureml, or a plugin's."),
    click.option("--compute", "-c", help="A cluster, or a machine size."),
    click.option("--folder", help="Where the ledger, data and local runs are (.azft)."),
    click.option("--naming", help="The naming scheme."),
    click.option("--recipe", help="A set of parameters: quick, lora, full, or a plugin's."),
    click.option("--percent", type=float, help="Share of the rows to use."),
    click.option("--on-bad", type=click.Choice(["raise", "drop", "fix"]), help="What becomes of bad rows."),
    click.option("--budget", type=float, help="What the run may cost."),
    click.option("--set", "parameters", multiple=True, metavar="NAME=VALUE", help="A parameter; may be repeated."),
    click.option("--quiet", "-q", is_flag=True, help="Show no progress."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON."),
)


def session_options(command: F) -> F:
    """Give a command the options of a session."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def session_of(options: dict[str, Any]) -> FineTuneSession:
    """Return the session of a file, and of the options, which win over it."""
    from attrs import evolve

    from azft.domain.data import DataOptions, DataSettings
    from azft.session import FineTuneSession
    from azft.settings.file import read_settings
    from azft.settings.values import ModelSettings, SessionSettings, backend_of

    settings = read_settings(options["file"]) if options["file"] else SessionSettings()
    plain = ("dataset", "backend", "compute", "folder", "naming", "recipe", "budget")
    given = {name: options[name] for name in plain if options[name] is not None}
    model: str | ModelSettings = options["model"] or settings.model
    if options["weights"]:
        known = model if isinstance(model, ModelSettings) else ModelSettings(model)
        model = evolve(known, weights=options["weights"])
    if given.get("backend") == backend_of(settings).name:
        del given["backend"]  # The file says with what it is connected.
    data: DataOptions = {}
    if options["percent"] is not None:
        data["percent"] = options["percent"]
    if options["on_bad"] is not None:
        data["on_bad"] = options["on_bad"]
    parameters = {**settings.parameters, **dict(map(_parameter, options["parameters"]))}
    settings = evolve(settings, model=model, parameters=parameters, data=DataSettings.of(data, settings.data), **given)
    # JSON is read by programs: nothing else may stand beside it.
    return FineTuneSession.of(settings, progress=not (options["quiet"] or options["as_json"]))


def _parameter(text: str) -> tuple[str, Any]:
    name, sign, value = text.partition("=")
    if not sign or not name:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE", param_hint="--set")
    return name.strip(), value.strip()
