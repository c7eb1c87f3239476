"""The command `azft`."""

from __future__ import annotations

import sys
from typing import Any

import click

from azft import __version__
from azft.cli.output import CODES, INTERRUPTED, PLAN_HAS_ERRORS, exit_code, say, show
from azft.cli.session import session_of, session_options

EPILOG = "Exit codes: " + "; ".join(f"{code}: {meaning}" for code, meaning in CODES.items()) + "."


@click.group(epilog=EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="azft")
def cli() -> None:
    """Fine-tune chat models on Azure Machine Learning, and on your own machine."""


@cli.command()
@session_options
@click.option("--full", is_flag=True, help="Print every parameter too.")
def plan(*, full: bool, as_json: bool, **options: Any) -> None:
    """Decide everything, change nothing, list every problem."""
    made = session_of({**options, "as_json": as_json}).plan()
    if as_json:
        click.echo(made.to_json())
    else:
        say(str(made))
        if full:
            say(str(made.parameters))
    sys.exit(PLAN_HAS_ERRORS if made.errors else 0)


@cli.command()
@session_options
def data(*, as_json: bool, **options: Any) -> None:
    """Check every row, write the files of a run, and report on them."""
    prepared = session_of({**options, "as_json": as_json}).prepare()
    report = prepared.report()
    if as_json:
        show(prepared, as_json=True)
    else:
        say(str(report))
        say(f"the same with pictures: {report.path}")


@cli.command()
@session_options
@click.option("--accept", multiple=True, metavar="CODE", help="Go on in spite of a finding; may be repeated.")
@click.option("--again", is_flag=True, help="Start another run, though one of the same plan is there.")
@click.option("--detach", is_flag=True, help="Print the run's id and return at once.")
@click.option("--timeout", type=float, help="Seconds to watch.")
@click.option("--evaluate/--no-evaluate", default=True, help="Compare base and tuned model.")
@click.option("--register/--no-register", default=True, help="Register the tuned model.")
def run(
    *,
    accept: tuple[str, ...],
    again: bool,
    detach: bool,
    timeout: float | None,
    evaluate: bool,
    register: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Prepare, submit, watch, evaluate and register."""
    session = session_of({**options, "as_json": as_json, "quiet": options["quiet"] or detach})
    started = session.submit(accept=accept, again=again)
    if detach:
        if started.found:
            click.echo(started.found.replace("again=True", "--again"), err=True)
        show(started if as_json else started.id, as_json=as_json)
        return
    result: dict[str, Any] = {"result": session.watch(started, timeout=timeout)}
    if evaluate:
        result["report"] = session.evaluate(started)
    if register:
        result["model"] = session.register(started)
    if as_json:
        show(result, as_json=True)
    else:
        for value in result.values():
            say(str(value))
        say(f"the same with pictures: {session.report(started, result['result'], result.get('report'))}")


@cli.command()
@session_options
@click.argument("run_id")
@click.option("--timeout", type=float, help="Seconds to watch.")
def watch(*, run_id: str, timeout: float | None, as_json: bool, **options: Any) -> None:
    """Follow a run to its end, whoever started it."""
    session = session_of({**options, "as_json": as_json})
    show(session.watch(session.attach(run_id), timeout=timeout), as_json=as_json)


@cli.command()
@session_options
def runs(*, as_json: bool, **options: Any) -> None:
    """List the runs of this folder."""
    show(session_of({**options, "as_json": as_json}).runs(), as_json=as_json)


@cli.command()
@session_options
@click.option("--task", default="chat-completion", show_default=True, help="What the models are to be tuned for.")
def models(*, task: str, as_json: bool, **options: Any) -> None:
    """List what can be tuned today, and what takes the place of what cannot."""
    show(session_of({**options, "as_json": as_json}).models(task), as_json=as_json)


@cli.command()
@session_options
def sizes(*, as_json: bool, **options: Any) -> None:
    """Rank machine sizes for the plan, by the cost of the whole job."""
    show(session_of({**options, "as_json": as_json}).suggest(), as_json=as_json)


@cli.command()
@session_options
def leftovers(*, as_json: bool, **options: Any) -> None:
    """List what of azft's is still there, this folder's or not, and what it costs."""
    show(session_of({**options, "as_json": as_json}).leftovers(), as_json=as_json)


@cli.command()
@session_options
@click.option("--delete", is_flag=True, help="Delete what is found; without it nothing is touched.")
@click.option("--stop-runs", is_flag=True, help="Runs that have not ended too.")
@click.option("--models", "with_models", is_flag=True, help="Registered models too.")
def sweep(*, delete: bool, stop_runs: bool, with_models: bool, as_json: bool, **options: Any) -> None:
    """Find everything of azft's at a backend by its marks, and with --delete take it away."""
    from azft.flow.sweep import sweep as swept

    session = session_of({**options, "as_json": as_json})
    report = swept(session.backend, delete=delete, stop_runs=stop_runs, models=with_models)
    show(report, as_json=as_json)
    sys.exit(1 if report.failed else 0)


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def plugins(*, as_json: bool) -> None:
    """List the plugins, the packages they come from, and what they offer."""
    from azft.discovery import list_plugins

    show(list_plugins(), as_json=as_json)


@cli.command()
@session_options
def doctor(*, as_json: bool, **options: Any) -> None:
    """Say what works and what does not: sign-in, workspace, quotas, versions, disk, GPU."""
    found = session_of({**options, "as_json": as_json}).examine()
    show(found, as_json=as_json)
    sys.exit(0 if found.healthy else 1)


@cli.command()
def schema() -> None:
    """Print the JSON schema of a file of settings, by which editors complete it."""
    import json

    from azft.settings.file import schema as published

    click.echo(json.dumps(published(), indent=2, ensure_ascii=False))


def main() -> None:
    """Run the command line; errors of azft are printed, each with its own exit code."""
    from azft.errors import AzftError

    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(INTERRUPTED)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except AzftError as error:
        notes = "".join(f"\n  {note}" for note in getattr(error, "__notes__", ()))
        sys.stderr.write(f"azft: {error}{notes}\n")
        sys.exit(exit_code(error))
