"""Step 4: a plan and its data become a job."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from attrs import evolve

from azft.domain.component import ASSET_TYPES
from azft.domain.data import PreparedData
from azft.domain.job import Job
from azft.domain.jsonable import to_json
from azft.domain.plan import Plan
from azft.domain.trainers import Trainer
from azft.errors import DatasetError, PlanError
from azft.files import sha256_of_code
from azft.rules.keys import chosen, job_key
from azft.rules.pipeline_inputs import data_inputs, pipeline_inputs, type_of
from azft.rules.roles import roles_of


class PipelineBuilder:
    """Builds jobs as plain values: print them, test them, submit them."""

    def check(self, plan: Plan, *, accept: Collection[str] = ()) -> None:
        """Raise `PlanError` with all of them if the plan holds errors whose codes are not in `accept`."""
        errors = [finding for finding in plan.errors if finding.code not in accept]
        if errors:
            raise PlanError(
                "the plan holds errors, so nothing was submitted",
                errors,
                hint="print(plan) shows everything; plan.explain(NAME) says where a value comes from",
            )

    def build(self, plan: Plan, data: PreparedData, *, accept: Collection[str] = ()) -> Job:
        """Return the job; `PlanError` if the plan holds errors whose codes are not in `accept`."""
        self.check(plan, accept=accept)
        tags = {
            "azft.base_model": plan.model.id or plan.model.name,
            "azft.stand_in": str(plan.model.stand_in).lower(),
            "azft.dataset": _shown_to_others(data.source),
            "azft.dataset_sha256": data.sha256,
            "azft.parameters": to_json(chosen(plan.parameters)).decode(),
        }
        job = Job(
            display_name=plan.display_name,
            model_name=plan.model_name,
            experiment=plan.experiment,
            model=plan.model,
            data=data,
            compute=plan.compute,
            component=plan.component.name,
            component_version=plan.component.version,
            parameters=plan.parameters,
            tags=tags,
            trainer=_with_digest(plan.trainer),
        )
        return evolve(job if plan.trainer.own else _wired(job, plan), key=job_key(job))


def _wired(job: Job, plan: Plan) -> Job:
    """Return the job of a pipeline with what each of its inputs is given.

    Errors: `DatasetError` where the pipeline wants a split that the data does not have.
    """
    trainer, component, data = plan.trainer.tunes, plan.component, job.data
    roles = roles_of(component, trainer.roles)
    splits = {"train": data.train, "validation": data.validation, "test": data.test}
    taken = data_inputs(component, trainer, data)
    for split, file in splits.items():
        needed = [name for name in roles.data(split) if (entry := component.input(name)) and not entry.optional]
        if needed and not file.is_there:
            raise DatasetError(
                f"{component.name} wants {split} data in {needed[0]!r}, and {data.source} has none",
                hint=f"put a file or folder called {split} beside the one called train",
            )
        if roles.data(split) and file.is_there and split not in taken:
            kind = type_of(file)
            raise DatasetError(
                f"{component.name} takes no {kind} as {split} data, only {', '.join(roles.data(split))}",
                hint="give an MLTable folder" if kind != "mltable" else "give a file",
            )
    told = pipeline_inputs(plan.parameters, component, plan.compute, plan.model, trainer)
    kinds = {entry.name: entry.type for entry in component.inputs}
    model = component.input(roles.model)
    own = {name: (kinds[name], str(value)) for name, value in told.items() if kinds[name] in ASSET_TYPES}
    assets = {**({model.name: (model.type, plan.model.id)} if model else {}), **own}
    files = {name: (kind, str(splits[split].path)) for split, (name, kind) in taken.items()}
    inputs = {name: value for name, value in told.items() if name not in own}
    return evolve(
        job,
        inputs=inputs,
        assets={**assets, **files},
        files={name: split for split, (name, _kind) in taken.items()},
        output=roles.output,
    )


def _shown_to_others(source: str) -> str:
    """Return where data is from, of a file its name alone: the rest says how somebody's disk is laid out.

    >>> _shown_to_others("file:///home/somebody/chats.jsonl"), _shown_to_others("hf://owner/data")
    ('file://chats.jsonl', 'hf://owner/data')
    """
    scheme, _, rest = source.partition("://")
    return f"file://{Path(rest).name}" if scheme == "file" else source


def _with_digest(trainer: Trainer) -> Trainer:
    """Return the trainer with the digest of its code, if it has any: other code is another run."""
    script = trainer.script
    return trainer if script is None else evolve(trainer, sha256=sha256_of_code(script.path, script.code))
