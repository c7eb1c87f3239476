"""Step 4: a plan and its data become a job."""

from __future__ import annotations

from collections.abc import Collection

from attrs import evolve

from azft.domain.data import PreparedData
from azft.domain.job import Job
from azft.domain.jsonable import to_json
from azft.domain.plan import Plan
from azft.domain.trainers import Trainer
from azft.errors import PlanError
from azft.files import sha256_of_code
from azft.rules.keys import chosen, job_key
from azft.rules.pipeline_inputs import pipeline_inputs


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
            "azft.dataset": data.source,
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
            inputs={} if plan.trainer.own else pipeline_inputs(plan.parameters, plan.component, plan.compute),
            trainer=_with_digest(plan.trainer),
        )
        return evolve(job, key=job_key(job))


def _with_digest(trainer: Trainer) -> Trainer:
    """Return the trainer with the digest of its code, if it has any: other code is another run."""
    script = trainer.script
    return trainer if script is None else evolve(trainer, sha256=sha256_of_code(script.path, script.code))
