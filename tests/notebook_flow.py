"""The tutorial's flow as its notebook writes it: the Azure SDK alone, no azft. Run inside the emulator by the tests."""

from __future__ import annotations

import ast
import json
import sys
import time
from pathlib import Path

import mlflow
from azure.ai.ml import Input, MLClient
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.dsl import pipeline
from azure.ai.ml.entities import (
    AmlCompute,
    ManagedOnlineDeployment,
    ManagedOnlineEndpoint,
    Model,
    OnlineRequestSettings,
    ProbeSettings,
)
from azure.identity import DefaultAzureCredential

data = Path(sys.argv[1])
workspace = json.loads(Path("config.json").read_text())

credential = DefaultAzureCredential()
credential.get_token("https://management.azure.com/.default")
ml_client = MLClient(credential, workspace["subscription_id"], workspace["resource_group"], workspace["workspace_name"])
registry_ml_client = MLClient(credential, registry_name="azureml")
experiment_name = "chat_completion_Phi-3-mini-4k-instruct"
timestamp = str(int(time.time()))

model_name = "Phi-3-mini-4k-instruct"
foundation_model = registry_ml_client.models.get(model_name, label="latest")
allow_list = ast.literal_eval(foundation_model.tags["finetune_compute_allow_list"])

compute_cluster_size, compute_cluster = "Standard_ND40rs_v2", "gpu-cluster-big"
try:
    compute = ml_client.compute.get(compute_cluster)
except Exception:
    compute = AmlCompute(name=compute_cluster, size=compute_cluster_size, tier="Dedicated", max_instances=2)
    ml_client.compute.begin_create_or_update(compute).wait()
compute = ml_client.compute.get(compute_cluster)
if compute.provisioning_state.lower() == "failed":
    raise ValueError("the cluster is in the state failed")
if compute.size.lower() not in [size.lower() for size in allow_list]:
    raise ValueError(f"{compute.size} is not in the allow list {allow_list}")
gpus_per_node = next(size.gpus for size in ml_client.compute.list_sizes() if size.name.lower() == compute.size.lower())

finetune_parameters = {
    "num_train_epochs": 3,
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "learning_rate": 5e-6,
    "lr_scheduler_type": "cosine",
    "apply_lora": "true",
    "apply_deepspeed": "true",
    "deepspeed_stage": 2,
}
finetune_parameters.update(ast.literal_eval(foundation_model.tags["model_specific_defaults"]))

pipeline_component = registry_ml_client.components.get(name="chat_completion_pipeline", label="latest")


@pipeline(name="Phi-3-mini-4k-instruct-ultrachat")
def create_pipeline():
    chat_completion_pipeline = pipeline_component(
        mlflow_model_path=foundation_model.id,
        compute_model_import=compute_cluster,
        compute_preprocess=compute_cluster,
        compute_finetune=compute_cluster,
        compute_model_evaluation=compute_cluster,
        train_file_path=Input(type="uri_file", path=str(data / "train_sft.jsonl")),
        test_file_path=Input(type="uri_file", path=str(data / "test_sft.jsonl")),
        number_of_gpu_to_use_finetuning=gpus_per_node,
        **finetune_parameters,
    )
    return {"trained_model": chat_completion_pipeline.outputs.mlflow_model_folder}


pipeline_object = create_pipeline()
pipeline_object.settings.force_rerun = True
pipeline_object.settings.continue_on_step_failure = False
pipeline_job = ml_client.jobs.create_or_update(pipeline_object, experiment_name=experiment_name)
ml_client.jobs.stream(pipeline_job.name)

mlflow.set_tracking_uri(ml_client.workspaces.get(workspace["workspace_name"]).mlflow_tracking_uri)
runs = mlflow.search_runs(
    experiment_names=[experiment_name],
    filter_string=f"tags.mlflow.rootRunId='{pipeline_job.name}'",
    output_format="list",
)
training_run = next(run for run in runs if "epoch" in run.data.metrics)
history = mlflow.MlflowClient().get_metric_history(training_run.info.run_id, "loss")

print(ml_client.jobs.get(pipeline_job.name).outputs)
registered = ml_client.models.create_or_update(
    Model(
        path=f"azureml://jobs/{pipeline_job.name}/outputs/trained_model",
        type=AssetTypes.MLFLOW_MODEL,
        name="Phi-3-mini-4k-instruct-ultrachat-200k",
        version=timestamp,
        description="fine tuned model for ultrachat 200k chat-completion",
    )
)
if "--download" in sys.argv:
    ml_client.models.download(registered.name, registered.version, download_path="downloaded")

endpoint_name = f"ultrachat-completion-{timestamp}"
endpoint = ManagedOnlineEndpoint(name=endpoint_name, description="online endpoint", auth_mode="key")
ml_client.begin_create_or_update(endpoint).wait()
deployment = ManagedOnlineDeployment(
    name="demo",
    endpoint_name=endpoint_name,
    model=registered.id,
    instance_type="Standard_NC24s_v3",
    instance_count=1,
    liveness_probe=ProbeSettings(initial_delay=600),
    request_settings=OnlineRequestSettings(request_timeout_ms=90000),
)
ml_client.online_deployments.begin_create_or_update(deployment).wait()
endpoint.traffic = {"demo": 100}
ml_client.begin_create_or_update(endpoint).result()

conversation = json.loads((data / "test_sft.jsonl").read_text(encoding="utf-8").splitlines()[0])["messages"]
parameters = {"temperature": 0.6, "top_p": 0.9, "do_sample": True, "max_new_tokens": 20}
body = {"input_data": {"input_string": [conversation], "parameters": parameters}, "params": {}}
Path("sample_score.json").write_text(json.dumps(body))
answer = ml_client.online_endpoints.invoke(
    endpoint_name=endpoint_name, deployment_name="demo", request_file="sample_score.json"
)
ml_client.online_endpoints.begin_delete(name=endpoint_name).wait()

losses = [point.value for point in sorted(history, key=lambda point: point.step)]
print(json.dumps({"job": pipeline_job.name, "gpus": gpus_per_node, "losses": losses, "answer": answer}))
