"""Every hook of azft.

Three families. A *menu* hook returns frozen named values, and the user picks one by name; a *policy* hook adds
findings to a plan; an *observer* hook watches a run and can neither change nor break it.
"""

from __future__ import annotations

from collections.abc import Iterable

from azft.domain.findings import Finding
from azft.domain.pipelines import PipelineTrainer
from azft.domain.plan import Plan
from azft.domain.row_formats import RowFormat
from azft.domain.run import Run, RunEvent
from azft.domain.specs import BackendSpec, Converter, DatasetSpec, ModelSpec, NamingScheme, Reader, Recipe
from azft.domain.trainers import Trainer
from azft.plugins.markers import hookspec


@hookspec
def azft_models() -> Iterable[ModelSpec]:
    """Offer base models by name."""
    return ()


@hookspec
def azft_datasets() -> Iterable[DatasetSpec]:
    """Offer datasets by name."""
    return ()


@hookspec
def azft_readers() -> Iterable[Reader]:
    """Offer readers, each for the source scheme it names."""
    return ()


@hookspec
def azft_converters() -> Iterable[Converter]:
    """Offer converters: what makes messages of a dataset's own columns."""
    return ()


@hookspec
def azft_recipes() -> Iterable[Recipe]:
    """Offer sets of parameters by name, between the user's own and the model's defaults."""
    return ()


@hookspec
def azft_trainers() -> Iterable[Trainer | PipelineTrainer]:
    """Offer what trains: scripts of your own and pipelines of a registry, beside azft's engine and that for chat."""
    return ()


@hookspec
def azft_row_formats() -> Iterable[RowFormat]:
    """Offer row formats: what a good row is for a task."""
    return ()


@hookspec
def azft_naming_schemes() -> Iterable[NamingScheme]:
    """Offer naming schemes: how jobs are displayed and tuned models are registered."""
    return ()


@hookspec
def azft_backends() -> Iterable[BackendSpec]:
    """Offer places to run."""
    return ()


@hookspec
def azft_check(plan: Plan) -> Iterable[Finding]:
    """Add findings to a plan: errors stop a submit, warnings and notes are printed. The plan is read only."""
    return ()


@hookspec
def azft_run_event(event: RunEvent, run: Run) -> None:
    """Watch what a run says while it is watched. An exception here is logged and does not stop anything.

    `run` is the run that says it: its id, its backend, its display name. An implementation may leave it out.
    """
