"""One walk through the SDK, with nothing of azft: run by the interpreters of several versions of azure-ai-ml.

Each step prints its name; the first that fails ends the program with its error.
"""

import json
import logging
import os
import sys
import warnings
from pathlib import Path
from typing import Any

warnings.filterwarnings("ignore")
logging.disable(logging.WARNING)

from azure.ai.ml import Input, MLClient, Output, __version__, command  # noqa: E402
from azure.ai.ml.dsl import pipeline  # noqa: E402
from azure.ai.ml.entities import (  # noqa: E402
    AmlCompute,
    Data,
    Environment,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
)
from azure.ai.ml.sweep import Choice  # noqa: E402
from azure.identity import DefaultAzureCredential  # noqa: E402

FOLDER = Path(sys.argv[1])
CONVERSATION = [{"role": "user", "content": "Hello?"}, {"role": "assistant", "content": "Hello."}]
CURATED = "azureml://registries/azureml/environments/sklearn-1.5/labels/latest"


def step(name: str, value: object = "") -> None:
    """Say that a step is done, on a line of its own: the SDK prints dots before."""
    sys.stdout.write(f"\ndone {name} {value}\n")
    sys.stdout.flush()


def main() -> None:  # noqa: PLR0915 - one walk, step by step
    """Walk from the workspace to the deletion of what was made."""
    dsl: Any = pipeline
    rows = FOLDER / "rows.jsonl"
    rows.write_text(f"{json.dumps({'messages': CONVERSATION})}\n" * 20)
    (FOLDER / "code").mkdir()
    (FOLDER / "code/try.py").write_text("import sys\nprint('hello', *sys.argv[1:])\n")
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")
    ml = MLClient(DefaultAzureCredential(), *(os.environ[name] for name in names), enable_telemetry=False)
    step("workspace", ml.workspaces.get(os.environ["AZUREML_WORKSPACE_NAME"]).location)
    registry = MLClient(DefaultAzureCredential(), registry_name="azureml", enable_telemetry=False)
    model = registry.models.get("Phi-4", label="latest")
    component: Any = registry.components.get(name="chat_completion_pipeline", label="latest")
    step("registry", f"{model.version} {component.version}")
    made = ml.compute.begin_create_or_update(
        AmlCompute(name="gpu-cluster", size="Standard_NC24ads_A100_v4", max_instances=2)
    ).result()
    step("compute", f"{made.size} {len(list(ml.compute.list()))} {len(list(ml.compute.list_sizes())) > 9}")
    step("usage", len(list(ml.compute.list_usage())) > 1)
    data = ml.data.create_or_update(Data(name="rows", version="1", path=str(rows), type="uri_file"))
    step("data", f"{data.version} {len(list(ml.data.list()))} {ml.data.get('rows', label='latest').version}")
    image = Environment(name="plain", image="mcr.microsoft.com/azureml/openmpi4.1.0-ubuntu20.04")
    ml.environments.create_or_update(image)
    step("environment", f"{len(list(ml.environments.list()))} {ml.environments.get('plain', label='latest').version}")

    def tuning() -> Any:
        tuned = component(
            mlflow_model_path=Input(type="mlflow_model", path=model.id),
            compute_model_import="gpu-cluster",
            compute_preprocess="gpu-cluster",
            compute_finetune="gpu-cluster",
            train_file_path=Input(type="uri_file", path=str(rows)),
            number_of_gpu_to_use_finetuning=1,
            num_train_epochs=1,
        )
        return {"trained_model": tuned.outputs.mlflow_model_folder}

    job = ml.jobs.create_or_update(dsl(tuning)(), experiment_name="versions")
    ml.jobs.stream(job.name)
    step("tuning", f"{ml.jobs.get(job.name).status} {len(list(ml.jobs.list(parent_job_name=job.name)))}")
    ml.jobs.download(job.name, output_name="trained_model", download_path=FOLDER / "tuned")
    step("download", len(list((FOLDER / "tuned").rglob("MLmodel"))))
    line: Any = command(
        code=str(FOLDER / "code"),
        command="python try.py ${{inputs.word}} > ${{outputs.said}}/said.txt",
        inputs={"word": "world"},
        outputs={"said": Output(type="uri_folder")},
        environment=CURATED,
        compute="gpu-cluster",
    )

    def steps() -> Any:
        said = line(word="pipelines")
        return {"said": said.outputs.said}

    job = ml.jobs.create_or_update(dsl(steps)(), experiment_name="versions")
    ml.jobs.stream(job.name)
    step("components", ml.jobs.get(job.name).status)
    swept: Any = line(word=Choice(["a", "b"])).sweep(
        compute="gpu-cluster", sampling_algorithm="grid", primary_metric="loss", goal="Minimize"
    )
    swept.set_limits(max_total_trials=2, max_concurrent_trials=2, timeout=600)
    swept = ml.jobs.create_or_update(swept)
    step("sweep", ml.jobs.get(swept.name).type)
    ml.jobs.begin_cancel(swept.name).wait()
    ml.jobs.archive(swept.name)
    step("jobs", len(list(ml.jobs.list())))
    tuned: Any = Model(path=str(next((FOLDER / "tuned").rglob("MLmodel")).parent), type="mlflow_model", name="tuned")
    tuned = ml.models.create_or_update(tuned)
    step("model", f"{tuned.version} {len(list(ml.models.list()))} {ml.models.get('tuned', label='latest').version}")
    endpoint = ManagedOnlineEndpoint(name="versions", auth_mode="key")
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    ml.online_deployments.begin_create_or_update(
        ManagedOnlineDeployment(
            name="blue",
            endpoint_name="versions",
            model=tuned.id,
            instance_type="Standard_NC24ads_A100_v4",
            instance_count=1,
        )
    ).result()
    endpoint.traffic = {"blue": 100}
    ml.online_endpoints.begin_create_or_update(endpoint).result()
    request = FOLDER / "request.json"
    request.write_text(json.dumps({"input_data": {"input_string": [CONVERSATION[:1]], "parameters": {}}}))
    step("endpoint", ml.online_endpoints.invoke("versions", request_file=str(request)))
    step("keys", type(ml.online_endpoints.get_keys("versions")).__name__)
    step("logs", bool(ml.online_deployments.get_logs("blue", "versions", lines=5)))
    ml.online_endpoints.begin_delete("versions").result()
    ml.compute.begin_delete("gpu-cluster").wait()
    step("all", __version__)


if __name__ == "__main__":
    main()
