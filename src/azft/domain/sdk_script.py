"""A job as a script of plain azure-ai-ml calls: the way out for those who want to go on without azft."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from azft.domain.resource import PRIVATE_TAGS

if TYPE_CHECKING:
    from azft.domain.job import Job

_HEAD = '''"""{title}

The same job as azft submits, in plain azure-ai-ml calls. It needs azure-ai-ml and azure-identity, and nothing of azft.
"""

import os

from azure.ai.ml import Input, MLClient
from azure.ai.ml.dsl import pipeline
from azure.identity import DefaultAzureCredential

# Who asks: what `az login`, a managed identity or the variables AZURE_CLIENT_ID and the like give.
credential = DefaultAzureCredential()
workspace = MLClient(
    credential,
    os.environ["AZURE_SUBSCRIPTION_ID"],
    os.environ["AZURE_RESOURCE_GROUP"],
    os.environ["AZUREML_WORKSPACE_NAME"],
)

# The pipeline component that fine-tunes, at the version that the plan was made for.
registry = MLClient(credential, registry_name={registry!r})
component = registry.components.get({component!r}, version={version!r})

# The base model.
assets = {{
{assets}
}}

# The prepared data: each file is uploaded to the workspace's default store when the job is submitted.
data = {{
{data}
}}

# What somebody chose. Inputs that are not named here keep the component's own defaults.
inputs = {{
{inputs}
}}


# One step: the registry's pipeline, one of whose outputs is the tuned model.
@pipeline()
def fine_tune():
    return {{
        "trained_model": component(
            **{{name: Input(type=kind, path=path) for name, (kind, path) in {{**assets, **data}}.items()}},
            **inputs,
        ).outputs[{output!r}]
    }}


job = fine_tune()
job.display_name = {display_name!r}
job.tags = {{
{tags}
}}
# Run every step anew, and stop at the first that fails.
job.settings.force_rerun = True
job.settings.continue_on_step_failure = False

submitted = workspace.jobs.create_or_update(job, experiment_name={experiment!r})
print(submitted.name, submitted.studio_url)
'''


def sdk_script(job: Job) -> str:
    """Return the script; it reads the workspace from the environment and the data from where they were prepared."""
    tags = {name: value for name, value in job.tags.items() if name not in PRIVATE_TAGS}
    title = f"Fine-tune {job.model.name} on {job.data.name}."
    return _HEAD.format(
        title=title.replace("\\", "").replace('"', "'"),
        registry=job.trainer.tunes.registry,
        component=job.component,
        version=job.component_version,
        assets=_entries((name, value) for name, value in job.assets.items() if name not in job.files),
        data=_entries((name, job.assets[name]) for name in job.files),
        inputs=_entries(job.inputs.items()),
        output=job.output,
        display_name=job.display_name,
        tags=_entries(tags.items()),
        experiment=job.experiment,
    )


def _entries(items: Iterable[tuple[str, object]]) -> str:
    return "\n".join(f"    {name!r}: {value!r}," for name, value in items)
