"""Fine-tune chat models on Azure Machine Learning, and on your own machine with the same program."""

from typing import TYPE_CHECKING

__version__ = "0.1.0"

_HOMES = {
    "azft.builtin.row_formats": ("translation_rows",),
    "azft.discovery": ("connect", "list_plugins", "load_plugins"),
    "azft.domain.component": ("Component", "ComponentInput"),
    "azft.domain.card": ("Fact", "ModelCard"),
    "azft.domain.compute": ("Compute", "ComputeSize", "Usage"),
    "azft.domain.checks": ("Checks",),
    "azft.domain.data": ("DataSettings", "PreparedData"),
    "azft.domain.evaluation": ("Answer", "EvaluationReport", "ExactAnswers", "Scores"),
    "azft.domain.job": ("Job",),
    "azft.domain.offers": ("Advice", "ModelList", "ModelOffer", "Prices", "SizeOffer"),
    "azft.domain.model": ("Model",),
    "azft.domain.parameters": ("Parameters", "Resolved"),
    "azft.domain.findings": ("Finding", "Findings"),
    "azft.domain.forecast": ("DataLook", "Forecast", "MemoryLook"),
    "azft.domain.plan": ("Plan",),
    "azft.domain.diagnosis": ("Diagnosis",),
    "azft.domain.resource": (
        "CleanupReport",
        "Endpoint",
        "Leftover",
        "Leftovers",
        "RegisteredModel",
        "Resource",
        "SweepReport",
    ),
    "azft.domain.pipelines": ("PipelineTrainer", "Roles"),
    "azft.domain.row_formats": ("Column", "RowFormat"),
    "azft.domain.rows": ("BadRow", "SourceRow"),
    "azft.domain.run": ("Run", "RunEvent", "RunResult", "Runs", "RunState", "RunStatus"),
    "azft.domain.specs": (
        "BackendSpec",
        "Converter",
        "DatasetSize",
        "DatasetSpec",
        "ModelSpec",
        "NamingContext",
        "NamingScheme",
        "Reader",
        "Recipe",
    ),
    "azft.domain.tokens": ("TokenStatistics",),
    "azft.domain.trainers": ("Script", "Trainer"),
    "azft.errors": (
        "AuthenticationError",
        "AzftError",
        "BackendError",
        "ComputeError",
        "ConfigurationError",
        "DatasetError",
        "DuplicateNameError",
        "InUseError",
        "NameTakenError",
        "NotFoundError",
        "NotOursError",
        "PlanError",
        "PluginError",
        "RunCanceledError",
        "RunError",
        "RunFailedError",
        "RunTimeoutError",
        "UnknownNameError",
        "UnreachableError",
        "UnsupportedError",
    ),
    "azft.flow.build": ("PipelineBuilder",),
    "azft.flow.cleanup": ("ResourceCleaner",),
    "azft.flow.compute": ("ComputeValidator",),
    "azft.flow.deploy": ("DeployedModel", "ModelDeployer"),
    "azft.flow.evaluate": ("RunEvaluator",),
    "azft.flow.plan": ("Planner",),
    "azft.flow.prepare": ("DatasetPreparer",),
    "azft.flow.register": ("ModelRegistrar",),
    "azft.flow.sweep": ("sweep",),
    "azft.flow.watch": ("RunWatcher",),
    "azft.gate.prepared": ("DataReport", "PreparedDataset"),
    "azft.plugins.manager": ("Plugins",),
    "azft.plugins.markers": ("hookimpl",),
    "azft.ports": ("Backend",),
    "azft.session": ("FineTuned", "FineTuneSession"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

if TYPE_CHECKING:
    from azft.builtin.row_formats import translation_rows
    from azft.discovery import connect, list_plugins, load_plugins
    from azft.domain.card import Fact, ModelCard
    from azft.domain.checks import Checks
    from azft.domain.component import Component, ComponentInput
    from azft.domain.compute import Compute, ComputeSize, Usage
    from azft.domain.data import DataSettings, PreparedData
    from azft.domain.diagnosis import Diagnosis
    from azft.domain.evaluation import Answer, EvaluationReport, ExactAnswers, Scores
    from azft.domain.findings import Finding, Findings
    from azft.domain.forecast import DataLook, Forecast, MemoryLook
    from azft.domain.job import Job
    from azft.domain.model import Model
    from azft.domain.offers import Advice, ModelList, ModelOffer, Prices, SizeOffer
    from azft.domain.parameters import Parameters, Resolved
    from azft.domain.pipelines import PipelineTrainer, Roles
    from azft.domain.plan import Plan
    from azft.domain.resource import (
        CleanupReport,
        Endpoint,
        Leftover,
        Leftovers,
        RegisteredModel,
        Resource,
        SweepReport,
    )
    from azft.domain.row_formats import Column, RowFormat
    from azft.domain.rows import BadRow, SourceRow
    from azft.domain.run import Run, RunEvent, RunResult, Runs, RunState, RunStatus
    from azft.domain.specs import (
        BackendSpec,
        Converter,
        DatasetSize,
        DatasetSpec,
        ModelSpec,
        NamingContext,
        NamingScheme,
        Reader,
        Recipe,
    )
    from azft.domain.tokens import TokenStatistics
    from azft.domain.trainers import Script, Trainer
    from azft.errors import (
        AuthenticationError,
        AzftError,
        BackendError,
        ComputeError,
        ConfigurationError,
        DatasetError,
        DuplicateNameError,
        InUseError,
        NameTakenError,
        NotFoundError,
        NotOursError,
        PlanError,
        PluginError,
        RunCanceledError,
        RunError,
        RunFailedError,
        RunTimeoutError,
        UnknownNameError,
        UnreachableError,
        UnsupportedError,
    )
    from azft.flow.build import PipelineBuilder
    from azft.flow.cleanup import ResourceCleaner
    from azft.flow.compute import ComputeValidator
    from azft.flow.deploy import DeployedModel, ModelDeployer
    from azft.flow.evaluate import RunEvaluator
    from azft.flow.plan import Planner
    from azft.flow.prepare import DatasetPreparer
    from azft.flow.register import ModelRegistrar
    from azft.flow.sweep import sweep
    from azft.flow.watch import RunWatcher
    from azft.gate.prepared import DataReport, PreparedDataset
    from azft.plugins.manager import Plugins
    from azft.plugins.markers import hookimpl
    from azft.ports import Backend
    from azft.session import FineTuned, FineTuneSession
else:

    def __getattr__(name: str) -> object:
        """Import a public name where it lives, the first time it is asked for."""
        if name not in _HOME_OF:
            raise AttributeError(f"module 'azft' has no attribute {name!r}")
        from importlib import import_module

        value = globals()[name] = getattr(import_module(_HOME_OF[name]), name)
        return value

    def __dir__() -> list[str]:
        """List the public names, imported or not."""
        return sorted({*globals(), *__all__})


__all__ = [
    "Advice",
    "Answer",
    "AuthenticationError",
    "AzftError",
    "Backend",
    "BackendError",
    "BackendSpec",
    "BadRow",
    "Checks",
    "CleanupReport",
    "Column",
    "Component",
    "ComponentInput",
    "Compute",
    "ComputeError",
    "ComputeSize",
    "ComputeValidator",
    "ConfigurationError",
    "Converter",
    "DataLook",
    "DataReport",
    "DataSettings",
    "DatasetError",
    "DatasetPreparer",
    "DatasetSize",
    "DatasetSpec",
    "DeployedModel",
    "Diagnosis",
    "DuplicateNameError",
    "Endpoint",
    "EvaluationReport",
    "ExactAnswers",
    "Fact",
    "Finding",
    "Findings",
    "FineTuneSession",
    "FineTuned",
    "Forecast",
    "InUseError",
    "Job",
    "Leftover",
    "Leftovers",
    "MemoryLook",
    "Model",
    "ModelCard",
    "ModelDeployer",
    "ModelList",
    "ModelOffer",
    "ModelRegistrar",
    "ModelSpec",
    "NameTakenError",
    "NamingContext",
    "NamingScheme",
    "NotFoundError",
    "NotOursError",
    "Parameters",
    "PipelineBuilder",
    "PipelineTrainer",
    "Plan",
    "PlanError",
    "Planner",
    "PluginError",
    "Plugins",
    "PreparedData",
    "PreparedDataset",
    "Prices",
    "Reader",
    "Recipe",
    "RegisteredModel",
    "Resolved",
    "Resource",
    "ResourceCleaner",
    "Roles",
    "RowFormat",
    "Run",
    "RunCanceledError",
    "RunError",
    "RunEvaluator",
    "RunEvent",
    "RunFailedError",
    "RunResult",
    "RunState",
    "RunStatus",
    "RunTimeoutError",
    "RunWatcher",
    "Runs",
    "Scores",
    "Script",
    "SizeOffer",
    "SourceRow",
    "SweepReport",
    "TokenStatistics",
    "Trainer",
    "UnknownNameError",
    "UnreachableError",
    "UnsupportedError",
    "Usage",
    "__version__",
    "connect",
    "hookimpl",
    "list_plugins",
    "load_plugins",
    "sweep",
    "translation_rows",
]
