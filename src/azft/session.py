"""One object that walks the whole flow, one method per step."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, Unpack

from attrs import evolve, frozen

from azft.discovery import checked, connect, load_plugins
from azft.display import say
from azft.domain.compute import Compute
from azft.domain.data import ACCEPTABLE, DataOptions, DataSettings
from azft.domain.evaluation import EvaluationReport
from azft.domain.expecting import expect, expect_run
from azft.domain.job import Job
from azft.domain.offers import Advice, ModelList, Prices
from azft.domain.parameters import ParameterValue
from azft.domain.pipelines import PipelineTrainer
from azft.domain.plan import Plan
from azft.domain.resource import CleanupReport, Leftovers, RegisteredModel, Resource
from azft.domain.run import Run, RunEvent, RunResult, Runs
from azft.domain.specs import DatasetSpec, ModelSpec, NamingScheme, Recipe
from azft.domain.trainers import Script, Trainer
from azft.errors import ConfigurationError, UnsupportedError
from azft.flow.build import PipelineBuilder
from azft.flow.cleanup import ResourceCleaner
from azft.flow.compute import ComputeMaker, ComputeValidator
from azft.flow.costs import with_costs
from azft.flow.deploy import DeployedModel, ModelDeployer
from azft.flow.doctor import Diagnosed, examine
from azft.flow.evaluate import Question, RunEvaluator, Scorer, can_judge
from azft.flow.plan import Planner
from azft.flow.prepare import DatasetPreparer, at_least_one
from azft.flow.register import ModelRegistrar
from azft.flow.report import write_report
from azft.flow.resume import RunResumer
from azft.flow.runs import find_runs
from azft.flow.submit import JobSubmitter
from azft.flow.sweep import find_leftovers
from azft.flow.watch import RunWatcher
from azft.gate.own_data import dataset_of
from azft.gate.prepared import PreparedDataset
from azft.gate.reading import Convert
from azft.ledger import Ledger
from azft.lookups.models import list_models
from azft.lookups.tokenizers import OwnTokenizers
from azft.plugins.catalogue import Catalogue
from azft.plugins.manager import Plugins
from azft.ports import Backend
from azft.progress import wanted
from azft.rules.forecast import rows_in_a_step, sequence_limit
from azft.rules.lifecycle import CHAT
from azft.rules.suggest import did_you_mean
from azft.settings.arguments import check_arguments
from azft.settings.file import read_settings, write_settings
from azft.settings.values import BackendSettings, SessionSettings, as_dataset, as_model, backend_of, session_arguments
from azft.snapshot import list_prices
from azft.speeds import Speeds, Stopwatch
from azft.views.description import Line, View, Viewed, facts


@frozen(repr=False)
class FineTuned(Viewed):
    """What `FineTuneSession.run` brings: the run, its result, the comparison, and the registered model."""

    run: Run
    result: RunResult
    report: EvaluationReport
    model: RegisteredModel

    def view(self) -> View:
        """Describe what came of the run: the comparison first, then where everything is."""
        rows = facts("", [("run", str(self.run)), ("files", self.result.outputs), ("model", str(self.model))])
        return View("Fine-tuned", str(self.model), (*self.report.view().parts, rows))


class FineTuneSession(Line):
    """Fine-tunes a chat model: plan, submit, watch, evaluate, register, deploy, clean up.

    `model`, `dataset` and `naming` are names that plugins offer, or values. `dataset` may be your own data in one
    word: a path, an address (hf://OWNER/NAME), a pandas frame, a `datasets.Dataset`, a list of rows, or a mapping of
    splits to one of these. `backend` is a name or a connected backend. `parameters` are inputs of the fine-tuning
    component and win over everything else; `recipe` is a named set of them ("quick", "lora", "full", or a plugin's)
    that the parameters win over. `trainer` is what trains: "azft" for azft's own engine, "chat_completion_pipeline" for
    the registry's pipeline, a plugin's, or a `Script` of your own; the backend's own without it. `prices` are for one
    node and hour, by machine size, in place of the dated list that ships with azft, and `budget`, in their currency, is
    what the run may cost. `columns`, `data`, `convert`, `tokenizer`, `workers` and the settings of the data one by one
    (`percent`, `on_bad`, `duplicates`, ...) are as `DatasetPreparer` takes them; weights that were given bring their
    own tokenizer.
    `folder` keeps the ledger, the prepared data and the local backend's runs. `progress` false keeps standard output
    quiet; everything is in `logging` then.
    """

    def __init__(
        self,
        model: str | ModelSpec = "Phi-3-mini-4k-instruct",
        dataset: Any = "ultrachat_200k",
        *,
        columns: Mapping[str, str] | None = None,
        naming: str | NamingScheme = "tutorial",
        backend: str | Backend = "local",
        compute: str = "",
        parameters: Mapping[str, ParameterValue] | None = None,
        recipe: str | Recipe = "",
        trainer: str | Trainer | Script | PipelineTrainer = "",
        prices: Mapping[str, float] | None = None,
        budget: float | None = None,
        data: DataSettings | None = None,
        convert: Convert | None = None,
        tokenizer: Any = None,
        workers: int | None = None,
        folder: str | Path = ".azft",
        plugins: Plugins | None = None,
        progress: bool = True,
        **options: Unpack[DataOptions],
    ) -> None:
        check_arguments({
            "compute": compute, "folder": folder, "parameters": parameters, "columns": columns, "prices": prices,
            "budget": budget, "data": data,
        })  # fmt: skip
        _known_options(options)
        if plugins is not None:
            expect(plugins, Plugins, "plugins", "write plugins=azft.load_plugins(PLUGIN)")
        self.folder = Path(folder).absolute()
        self._plugins = plugins or load_plugins()
        catalogue = Catalogue(self._plugins)
        self._models = catalogue.models
        self._model = catalogue.models.pick(model)
        self._trainer = _trainer_of(trainer, catalogue)
        self._rows = catalogue.row_formats.pick(self._trainer.tunes.rows)
        self._dataset = dataset_of(dataset, catalogue, columns, whole=self._rows.as_is)
        self._naming = catalogue.naming_schemes.pick(naming)
        self._data = data if data is not None and not options else DataSettings.of(options, data)
        self._convert = convert
        self._workers = at_least_one(workers)
        self._tokenizers = OwnTokenizers(tokenizer)
        self._given_by_value = {
            "naming": not isinstance(naming, str),
            "recipe": not isinstance(recipe, str),
            "trainer": not isinstance(trainer, str),
            "tokenizer": tokenizer is not None and not isinstance(tokenizer, str),
            "convert": convert is not None,
        }
        self._tokenizer_name = tokenizer if isinstance(tokenizer, str) else ""
        self._prepared: PreparedDataset | None = None
        self._recipe = catalogue.recipes.pick(recipe) if recipe else None
        self._prices = None if prices is None else dict(prices)
        self._budget = budget
        self._parameters = dict(parameters or {})
        self._compute = compute
        self._progress = progress
        self.backend = self._connected(backend)
        self._ledger = Ledger(self.folder)
        self._speeds = Speeds(self.folder)

    @classmethod
    def from_file(cls, path: str | Path, *, plugins: Plugins | None = None, progress: bool = True) -> Self:
        """Return the session of a YAML or TOML file of settings, whose schema `azft schema` prints."""
        return cls.of(read_settings(path), plugins=plugins, progress=progress)

    @classmethod
    def of(cls, settings: SessionSettings, *, plugins: Plugins | None = None, progress: bool = True) -> Self:
        """Return the session of settings as a value."""
        backend = backend_of(settings)
        plugins = plugins or load_plugins()
        taken = [name for name in backend.settings if name in ("name", "plugins")]
        if taken:
            raise ConfigurationError(f"{taken[0]!r} is no setting of a backend", hint="leave it out")
        connected = connect(backend.name, plugins=plugins, **backend.settings) if backend.settings else backend.name
        return cls(backend=connected, plugins=plugins, progress=progress, **session_arguments(settings))

    def to_file(self, path: str | Path) -> Path:
        """Write the session's settings to a YAML file that `from_file` and the command line read.

        A backend is written with its `settings`, where it has some. `ConfigurationError` for what no file can hold:
        rows in memory, functions, and values of a session that are not named by a plugin.
        """
        cannot = [name for name, by_value in self._given_by_value.items() if by_value]
        if cannot:
            raise ConfigurationError(
                f"{', '.join(cannot)} was given as a value, which no file can hold",
                hint="let a plugin offer it, and give its name",
            )
        catalogue = Catalogue(self._plugins)
        connected = dict(getattr(self.backend, "settings", {}))
        settings = SessionSettings(
            model=self._model.name if self._model in list(catalogue.models) else as_model(self._model),
            dataset=(self._dataset.name if self._dataset in list(catalogue.datasets) else as_dataset(self._dataset)),
            tokenizer=self._tokenizer_name,
            workers=self._workers,
            naming=self._naming.name,
            backend=BackendSettings(self.backend.name, connected) if connected else self.backend.name,
            compute=self._compute,
            parameters=self._parameters,
            recipe=self._recipe.name if self._recipe else "",
            trainer=self._trainer.name,
            prices=self._prices or {},
            budget=self._budget,
            data=self._data,
            folder=str(self.folder),
        )
        return write_settings(settings, path)

    def view(self) -> View:
        """Describe what the session is set to; nothing is asked of anybody."""
        rows = [
            ("model", self._model.name),
            ("data", f"{self._dataset.name}, {self._dataset.source}"),
            ("backend", self.backend.name),
            ("compute", self._compute or "the backend's own"),
            ("naming scheme", self._naming.name),
            ("folder", str(self.folder)),
        ]
        said = f"{self._model.name} on {self._dataset.name}, backend {self.backend.name}"
        return View("Fine-tune session", said, (facts("", rows),))

    def plan(self) -> Plan:
        """Decide everything, change nothing, list every problem.

        After `prepare` it knows every row; before, it looks at the first thousand of each split.
        """
        planner = Planner(self.backend, self._plugins, tokenizers=self._tokenizers, convert=self._convert)
        plan = planner.plan(
            self._model,
            self._dataset,
            naming=self._naming,
            compute=self._compute,
            data=self._data,
            parameters=self._parameters,
            recipe=self._recipe,
            prepared=self._prepared,
            trainer=self._trainer,
        )
        prices = list_prices(plan.compute.region) if self._prices is None else Prices(self._prices)
        limits = getattr(self.backend, "time_limits", None)
        lasts = () if limits is None else limits(plan)
        judges = can_judge(self.backend)
        return with_costs(plan, self._speeds.of(plan), prices, self._budget, lasts, judges=judges)

    def examine(self) -> Diagnosed:
        """Look at this machine and ask the backend, and say what works and what to do about the rest."""
        return examine(self.backend, self.folder, model=self._model, compute=self._compute)

    def models(self, task: str = CHAT) -> ModelList:
        """List what can be tuned for a task today; retired models are marked, with others to take instead."""
        return list_models(self.backend, self._models, task, datetime.now(UTC).date())

    def suggest(self, plan: Plan | None = None, *, prices: Mapping[str, float] | None = None) -> Advice:
        """Rank the machine sizes on offer for a plan; `prices` take the place of the session's."""
        plan = self._given(plan)
        known = self._prices if prices is None else prices
        tokens = plan.look.tokens if plan.look else 0.0
        rows = plan.forecast.steps * plan.forecast.batch if plan.forecast else 0
        return ComputeValidator(self.backend).suggest(
            plan.model,
            plan.parameters,
            nodes=plan.nodes,
            tokens=tokens,
            rows=rows,
            prices=known,
            region=plan.compute.region,
            trainer=plan.trainer,
            test_rows=plan.forecast.test_rows if plan.forecast else None,
        )

    def prepare(self, plan: Plan | None = None, *, accept: Collection[str] = ()) -> PreparedDataset:
        """Check every row and write the files of the run; `submit` does it too, and finds what is there already.

        `accept` names codes of rows that go through in spite of their fault, beside those of the session.
        """
        plan = self._given(plan)
        settings = evolve(plan.data, accept=(*plan.data.accept, *accept))
        data = DatasetPreparer(
            self.folder / "data",
            data=settings,
            convert=self._convert,
            tokenizer=self._tokenizers.of(plan.model) if self._rows.chats else None,
            rows=self._rows,
            max_seq_length=sequence_limit(plan.model, plan.parameters),
            batch=plan.forecast.batch if plan.forecast else rows_in_a_step(plan.parameters, plan.compute.gpus) or 1,
            takes=getattr(self.backend, "takes", ()),
            workers=self._workers,
            progress=self._progress,
            plugins=self._plugins,
        ).prepare(self._with_rows(plan.dataset))
        self._ledger.made(Resource("data", data.folder.name, self.backend.name))
        self._prepared = data
        return data

    def build(self, plan: Plan | None = None, *, accept: Collection[str] = ()) -> Job:
        """Prepare the data and return the job as a value; nothing is submitted. `job.to_sdk()` is it without azft."""
        plan = self._given(plan)
        PipelineBuilder().check(self._looked_again(plan), accept=accept)
        data = self.prepare(plan, accept=[code for code in accept if code in ACCEPTABLE])
        return PipelineBuilder().build(plan, data, accept=accept)

    def submit(self, plan: Plan | None = None, *, accept: Collection[str] = (), again: bool = False) -> Run:
        """Prepare the data, start the job, return at once; a plan with errors is a `PlanError` before that.

        The same plan and data find the run that is queued, running or completed, and `run.found` says so; `again`
        starts another. `accept` names the codes of errors to go on in spite of, such as "AZFT-C003", and of rows, such
        as "AZFT-R101".
        """
        plan = self._given(plan)
        job = self.build(plan, accept=accept)
        with wanted(enabled=self._progress):
            run = JobSubmitter(self.backend, self._ledger, name=self.backend.name).submit(job, again=again)
        if run.found:
            say(run.found, enabled=self._progress)
        else:
            self._speeds.expect(run.id, plan)
        return run

    def create_compute(self, name: str, size: str, *, max_nodes: int = 1, tier: str = "Dedicated") -> Compute:
        """Create a cluster that cleanup deletes again; one that is there already is returned if it fits, and stays."""
        maker = ComputeMaker(self.backend, self._ledger, name=self.backend.name)
        return maker.create(name, size, max_nodes=max_nodes, tier=tier)

    def attach(self, run_id: str) -> Run:
        """Return a run that any process started, by its id."""
        return self.backend.find_run(run_id)

    def runs(self) -> Runs:
        """Return the runs of this folder's ledger at this backend, newest first, with where each stands."""
        return find_runs(self.backend, self._ledger, name=self.backend.name)

    def watch(self, run: Run, *, timeout: float | None = None, queue_timeout: float | None = None) -> RunResult:
        """Follow the run to its end; raises on failure and on cancellation. Ctrl-C stops the watching, not the run.

        `timeout` and `queue_timeout`, in seconds, bound the whole and the time until it begins.
        """
        expect_run(run, Run)
        stopwatch = Stopwatch()

        def observe(event: RunEvent) -> None:
            stopwatch.hear(event)
            self._plugins.observe(event, run)

        watcher = RunWatcher(self.backend, progress=self._progress, observe=observe)
        result = watcher.watch(run, timeout=timeout, queue_timeout=queue_timeout)
        self._speeds.learn(run.id, stopwatch.speed)
        return result

    def resume(self, run: Run) -> Run:
        """Go on with a run that failed for a reason outside it; `UnsupportedError` where nothing of it is kept."""
        expect_run(run, Run)
        return RunResumer(self.backend).resume(run)

    def cancel(self, run: Run) -> None:
        """Stop the run."""
        expect_run(run, Run)
        self.backend.cancel(run)

    def evaluate(
        self,
        run: Run,
        *,
        questions: Sequence[Question] = (),
        scorers: Mapping[str, Scorer] | None = None,
        where: str = "",
    ) -> EvaluationReport:
        """Compare base and tuned model on the same held-out conversations, and on questions of your own.

        `questions` are texts, pairs with the expected answer, or conversations; `scorers` are your own measures of the
        answers by name, each a function of an `Answer` and one model's text. `where="cluster"` compares in a job of its
        own, on a machine of the kind that the run had, which bills; without, the report is the run's own, or is made
        here.
        """
        expect_run(run, Run)
        if where not in {"", "here", "cluster"}:
            raise ConfigurationError(f"where is {where!r}, expected 'here' or 'cluster'")
        with wanted(enabled=self._progress):
            evaluator = RunEvaluator(self.backend, self._ledger)
            judge = evaluator.start(run, questions=questions) if where == "cluster" else None
            if judge is not None:
                self.watch(judge)
            return evaluator.evaluate(run, questions=questions, scorers=scorers, judge=judge)

    def report(self, run: Run, result: RunResult | None = None, evaluation: EvaluationReport | None = None) -> Path:
        """Write a page about a run and return its path: how it ended, its losses, base against tuned, and its data.

        `result` is what `watch` returned, which heard the losses, and `evaluation` what `evaluate` did; without them
        they are not on the page.
        """
        expect_run(run, Run)
        ended = result or self.backend.result(run)
        return write_report(self.folder / "reports", run, ended, evaluation, self._prepared)

    def register(self, run: Run | str | Path, name: str = "") -> RegisteredModel:
        """Register the run's model, once; the naming scheme names it unless `name` does.

        A folder in the place of a run holds an MLflow model, or weights with their tokenizer, and `name` names it.
        """
        known = run.model_name if isinstance(run, Run) else ""
        return ModelRegistrar(self.backend, self._ledger).register(run, name or known)

    def deploy(
        self, model: RegisteredModel, name: str = "", *, port: int = 0, onto: str = "", traffic: int = 0
    ) -> DeployedModel:
        """Deploy the model; used with `with`, the endpoint is gone on any way out of the block.

        `onto` is an endpoint that exists: it gets one more deployment with `traffic` percent of its traffic.
        """
        deployer = ModelDeployer(self.backend, self._ledger)
        return deployer.deploy(model, name, port=port, onto=onto, traffic=traffic)

    def run(self, plan: Plan | None = None) -> FineTuned:
        """Prepare, submit, watch, evaluate, register.

        Errors: `UnsupportedError` before anything is submitted where the rows are no conversations, as nothing here
        compares models of other tasks.
        """
        if not self._trainer.tunes.chats:
            raise UnsupportedError(
                f"run() compares base and tuned model, and {self._trainer.name} tunes no chat model",
                hint="session.submit(), session.watch(run) and session.register(run) one by one",
            )
        run = self.submit(plan)
        result = self.watch(run)
        return FineTuned(run, result, self.evaluate(run), self.register(run))

    def cleanup(self, *, everything: bool = False, stop_runs: bool = False) -> CleanupReport:
        """Delete what this session made, newest first, and say so; registered models go only with `everything`.

        A run that has not ended goes on, unless `stop_runs`.
        """
        cleaner = ResourceCleaner(self.backend, self._ledger, name=self.backend.name, data_folder=self.folder / "data")
        return cleaner.clean(everything=everything, stop_runs=stop_runs)

    def leftovers(self) -> Leftovers:
        """Return what of azft's is still at the backend, this folder's or not, and what it costs for an hour."""
        recorded = {entry.resource for entry in self._ledger.standing()}
        return find_leftovers(self.backend, recorded, prices=self._prices)

    def _given(self, plan: Plan | None) -> Plan:
        if plan is not None:
            expect(plan, Plan, "plan", "session.plan() returns one")
        return self.plan() if plan is None else plan

    def _connected(self, backend: str | Backend) -> Backend:
        if not isinstance(backend, str):
            return checked(backend)
        settings = {"folder": self.folder} if backend == "local" else {}
        return connect(backend, plugins=self._plugins, **settings)

    def _looked_again(self, plan: Plan) -> Plan:
        """Return the plan with what its own values say now: one that was changed by hand has other findings."""
        found = (*plan.findings, *self.backend.check(plan), *self._plugins.findings(plan))
        return evolve(plan, findings=tuple(dict.fromkeys(found)))

    def _with_rows(self, dataset: DatasetSpec) -> DatasetSpec:
        """Return a plan's dataset with the rows that this session was given; a plan that was written down has none."""
        mine = self._dataset
        return evolve(dataset, rows=mine.rows) if dataset.rows is None and dataset.source == mine.source else dataset


def _trainer_of(trainer: str | Trainer | Script | PipelineTrainer, catalogue: Catalogue) -> Trainer:
    """Return what trains; the backend's own for an empty name."""
    found = catalogue.trainers.pick(trainer) if trainer else Trainer()
    if found.script is not None:
        found.script.check()
    return found


def _known_options(options: Mapping[str, object]) -> None:
    """Refuse a setting that neither the session nor the data has, and say which one was meant."""
    settings = [*inspect.signature(FineTuneSession.__init__).parameters, *DataOptions.__annotations__]
    known = [name for name in settings if name not in ("self", "options")]
    for name in options:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ConfigurationError(f"FineTuneSession has no setting {name!r}", hint=hint)
