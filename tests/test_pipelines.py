"""Any of the registry's fine-tuning pipelines: roles, plans, and jobs that the service takes.

The inventory is that of azureml-assets at 4b41f8c.
"""

from __future__ import annotations

import json
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

import azft
from azft import Component, ComponentInput, FineTuneSession, PipelineTrainer, Roles
from azft.backends.azureml.internals import raw_job
from azft.rules.roles import missing_roles, roles_of
from azft.snapshot import RegistryPipeline, registry_pipelines
from azft.testing.emulator import AzureMLEmulator, Outcome

EXAMPLES = Path(__file__).parents[1] / "examples" / "tasks"
SIZE = "Standard_NC4as_T4_v3"
LACKING = {
    "import_model": PipelineTrainer("import_model", lacks=("train",)),
    "medimageinsight_ft_pipeline": PipelineTrainer(
        "medimageinsight_ft_pipeline",
        roles=Roles(train="image_tsv", validation="eval_image_tsv"),
    ),
    "oss_distillation_batchscoring_datagen_pipeline": PipelineTrainer(
        "oss_distillation_batchscoring_datagen_pipeline",
        roles=Roles(output="generated_batch_train_file_path"),
        lacks=("model",),
    ),
    "oss_distillation_seq_scoring_pipeline": PipelineTrainer(
        "oss_distillation_seq_scoring_pipeline", roles=Roles(output="generated_train_file_path")
    ),
}
"""What the rule cannot see in the inventory, named by the spec."""


@pytest.fixture(scope="module")
def place() -> Iterator[AzureMLEmulator]:
    own = Component(
        "haiku_pipeline",
        "7",
        (
            ComponentInput("base_model_path", "custom_model", optional=False),
            ComponentInput("training_data", "uri_file", optional=False),
            ComponentInput("compute_for_haiku", "string", optional=False),
            ComponentInput("instance_count", "integer", 1),
            ComponentInput("lines", "integer", 3, minimum=3, maximum=7),
        ),
        {"poet": "mlflow_model"},
    )
    with AzureMLEmulator(pipelines=[RegistryPipeline(own, ("read_lines", "finetune_poet"))]) as started:
        started.script(Outcome(seconds=0), always=True)
        azft.connect("azureml").create_compute("gpu-cluster", SIZE, max_nodes=2)
        yield started


def rows(count: int = 80) -> list[dict[str, Any]]:
    return [{"text": f"ticket number {n} about a printer", "label": ("broken", "late")[n % 2]} for n in range(count)]


def session(place: AzureMLEmulator, folder: Path, trainer: PipelineTrainer, data: Any, **more: Any) -> FineTuneSession:
    assert place.environment()
    model = more.pop("model", "bert-base-uncased")
    return FineTuneSession(
        model,
        data,
        trainer=trainer,
        backend=azft.connect("azureml"),
        compute="gpu-cluster",
        folder=folder,
        progress=False,
        **more,
    )


@pytest.mark.parametrize("name", registry_pipelines())
def test_roles_are_found_by_name_and_type_or_named_by_the_spec(name: str) -> None:
    component = registry_pipelines()[name].component
    plain = PipelineTrainer(name)
    assert bool(missing_roles(component, plain)) is (name in LACKING)
    assert not missing_roles(component, LACKING.get(name, plain))
    roles = roles_of(component, LACKING.get(name, plain).roles)
    declared = {entry.name: entry.type for entry in component.inputs}
    assert all(declared[one] == "string" for one in (*roles.computes, *roles.sizes))
    assert all(declared[one] in {"uri_file", "mltable"} for split in ("train", "test") for one in roles.data(split))


def test_the_roles_of_the_chat_pipeline_are_those_of_the_tutorial() -> None:
    roles = roles_of(registry_pipelines()["chat_completion_pipeline"].component, Roles())
    assert roles == Roles(
        model="mlflow_model_path",
        train=("train_file_path", "train_mltable_path"),
        validation=("validation_file_path", "validation_mltable_path"),
        test=("test_file_path", "test_mltable_path"),
        computes=("compute_model_import", "compute_preprocess", "compute_finetune"),
        sizes=("instance_type_model_import", "instance_type_preprocess", "instance_type_finetune"),
        gpus="number_of_gpu_to_use_finetuning",
        output="mlflow_model_folder",
    )


def values_for(component: Component, trainer: PipelineTrainer, file: Path) -> dict[str, Any]:
    """Return a value for everything that somebody has to give."""
    roles = roles_of(component, trainer.roles)
    given = {roles.model, roles.model_id, roles.model_name, *roles.computes, *roles.sizes, roles.gpus}
    data = {*roles.train, *roles.validation, *roles.test}
    return {
        entry.name: str(file) if entry.is_asset else (entry.enum or ("text",))[0]
        for entry in component.inputs
        if not entry.optional and entry.default is None and entry.name not in given | data
    }


@pytest.mark.parametrize("name", [name for name in registry_pipelines() if name != "chat_completion_pipeline"])
def test_a_job_of_each_is_built_and_taken_with_its_declared_inputs(
    place: AzureMLEmulator, tmp_path: Path, name: str
) -> None:
    component = registry_pipelines()[name].component
    trainer = LACKING.get(name, PipelineTrainer(name))
    kinds = {entry.name: entry.type for entry in component.inputs}
    data = tmp_path / "data"
    splits = roles_of(component, trainer.roles)
    for split in ("train", "validation", "test"):
        wanted = {kinds[one] for one in splits.data(split)}
        folder = data / split
        folder.mkdir(parents=True)
        if wanted == {"mltable"}:
            (folder / "MLTable").write_text("paths:\n  - file: ./rows.jsonl\n", encoding="utf-8")
            (folder / "rows.jsonl").write_text("{}\n", encoding="utf-8")
        else:
            folder.rmdir()
            (data / f"{split}.jsonl").write_text("{}\n", encoding="utf-8")
    config = tmp_path / "config.json"
    config.write_text("{}", encoding="utf-8")
    tuning = session(
        place, tmp_path / "home", trainer, data, parameters=values_for(component, trainer, config), model="t5-small"
    )
    plan = tuning.plan()
    assert [str(finding) for finding in plan.errors] == []
    assert "conversation" not in str(plan)
    run = tuning.submit(plan)
    body = raw_job(client(place), run.id).properties.jobs[name]["inputs"]
    taken = splits.train[0] if splits.train else ""
    assert not taken or body[taken]["uri"].startswith("azureml://")
    assert str(tuning.watch(run).status) == "completed"


def client(place: AzureMLEmulator) -> MLClient:
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_RESOURCE_GROUP", "AZUREML_WORKSPACE_NAME")
    return MLClient(DefaultAzureCredential(), *(place.environment()[name] for name in names), enable_telemetry=False)


def test_a_pipeline_that_nobody_has_seen_works_by_its_inputs_alone(place: AzureMLEmulator, tmp_path: Path) -> None:
    trainer = PipelineTrainer("haiku_pipeline", rows="text_generation")
    tuning = session(place, tmp_path, trainer, rows(), model="gpt2", columns={"text": "text"}, parameters={"lines": 5})
    plan = tuning.plan()
    assert not plan.errors
    run = tuning.submit(plan)
    body = raw_job(client(place), run.id).properties
    node = body.jobs["haiku_pipeline"]["inputs"]
    assert node["compute_for_haiku"]["value"] == "gpu-cluster"
    assert node["base_model_path"]["job_input_type"] == "custom_model"
    assert node["lines"]["value"] == "5"
    assert "validation" not in json.dumps(node)
    result = tuning.watch(run)
    assert str(result.status) == "completed"
    model = tuning.register(run)
    assert model.name == "gpt2-" + tuning.plan().dataset.name
    with pytest.raises(azft.UnsupportedError, match="no chat model's"):
        tuning.evaluate(run)
    with pytest.raises(azft.UnsupportedError, match="tunes no chat model"):
        tuning.run()
    script = tuning.build(plan).to_sdk()
    assert "outputs['poet']" in script


@pytest.mark.parametrize("name", sorted(path.stem for path in EXAMPLES.glob("*.py")))
def test_the_example_of_each_task_prepares_its_data_and_submits(
    place: AzureMLEmulator,
    tmp_path: Path,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    source = EXAMPLES / f"{name}.py"
    assert len(source.read_text(encoding="utf-8").splitlines()) < 40
    assert place.environment()
    monkeypatch.chdir(tmp_path)
    found = runpy.run_path(str(source), run_name="__main__")
    data = found["session"].build()
    said = capsys.readouterr().out
    assert "completed" in said
    assert found["session"].plan().model_name in said
    job = data
    if name == "image_classification":
        assert [kind for kind, _path in job.assets.values()].count("mltable") == 3
        return
    assert job.data.train.rows >= 45
    taken = found["TRAINER"]
    kept = json.loads(job.data.train.path.read_text(encoding="utf-8").splitlines()[0])
    form = found["plugins"]
    assert set(kept) == {column.name for column in _format(form, taken.rows).columns}


def _format(plugins: azft.Plugins, name: str) -> azft.RowFormat:
    from azft.plugins.catalogue import Catalogue

    return Catalogue(plugins).row_formats.pick(name)


def test_what_a_spec_gets_wrong_is_said_before_anything_is_submitted(place: AzureMLEmulator, tmp_path: Path) -> None:
    def errors(trainer: PipelineTrainer, **more: Any) -> list[str]:
        found = session(place, tmp_path, trainer, rows(), **more).plan().errors
        return [f"{finding.code} {finding.subject}: {finding.found} ({finding.fix})" for finding in found]

    name, form = "text_classification_pipeline", "text_classification"
    assert errors(PipelineTrainer(name, rows=form)) == []
    (said,) = errors(PipelineTrainer(name, rows=form, roles=Roles(train="train_path")))
    assert said.startswith("AZFT-T008")
    assert "'train_path'" in said
    assert "train_file_path" in said
    (said,) = errors(PipelineTrainer("import_model", rows=form), parameters={"task_name": "text-classification"})
    assert said.startswith("AZFT-T007")
    assert "takes the training data" in said
    (said,) = errors(PipelineTrainer(name, rows=form), parameters={"sentence1_key": "sentence"})
    assert said.startswith("AZFT-T009")
    assert "'sentence', and the prepared rows have text, text_pair, label" in said
    (said, *_more) = errors(PipelineTrainer("text_clasification_pipeline", rows=form))
    assert said.startswith("AZFT-A004")
    assert "text_classification_pipeline" in said
    with pytest.raises(azft.UnknownNameError, match="text_clasification"):
        session(place, tmp_path, PipelineTrainer(name, rows="text_clasification"), rows())


def test_the_service_refuses_what_the_component_does_not_declare(place: AzureMLEmulator) -> None:
    from azure.ai.ml import Input
    from azure.ai.ml.dsl import pipeline
    from azure.core.exceptions import HttpResponseError

    component = MLClient(DefaultAzureCredential(), registry_name="azureml").components.get("haiku_pipeline", "7")
    good = {
        "base_model_path": Input(type="custom_model", path="azureml://registries/azureml/models/gpt2/versions/1"),
        "training_data": Input(type="uri_file", path="azureml://datastores/workspaceblobstore/paths/a.jsonl"),
        "compute_for_haiku": "gpu-cluster",
    }

    def submitted(**inputs: Any) -> Any:
        def tune() -> None:
            component(**inputs)

        made: Any = pipeline(tune)()
        return client(place).jobs.create_or_update(made, skip_validation=True)

    assert submitted(**good).name
    for change, said in (
        ({"lines": 9}, "expected a whole number at most 7"),
        ({"compute_for_haiku": "elsewhere"}, "unknown compute target"),
        ({"training_data": Input(type="mltable", path="azureml://datastores/workspaceblobstore/paths/a")}, "mltable"),
    ):
        with pytest.raises(HttpResponseError, match=said):
            submitted(**{**good, **change})
    del good["compute_for_haiku"]
    with pytest.raises(HttpResponseError, match="'compute_for_haiku' of haiku_pipeline is required"):
        submitted(**good)


def test_a_pipeline_of_a_registry_needs_azure(tmp_path: Path) -> None:
    trainer = PipelineTrainer("text_classification_pipeline", rows="text_classification")
    plan = FineTuneSession("gpt2", rows(), trainer=trainer, folder=tmp_path, progress=False).plan()
    assert "AZFT-T001" in {finding.code for finding in plan.errors}


@pytest.mark.parametrize(
    ("given", "code", "found"),
    [
        ({"num_train_epoch": 3}, "AZFT-P001", "no such parameter"),
        ({"num_train_epochs": "three"}, "AZFT-P002", "'three'"),
    ],
)
def test_what_the_trainer_says_wrong_stops_the_plan(given: dict[str, Any], code: str, found: str) -> None:
    trainer = azft.PipelineTrainer(
        "text_classification_pipeline", task="text-classification", rows="text_classification", parameters=given
    )
    rows = [{"text": f"t {number}", "label": ("a", "b")[number % 2]} for number in range(80)]
    with AzureMLEmulator() as emulator:
        emulator.place_compute("gpus", size="Standard_NC4as_T4_v3")
        session = azft.FineTuneSession(
            "bert-base-uncased", rows, trainer=trainer, backend=azft.connect("azureml"), compute="gpus"
        )
        errors = [(one.code, one.subject, one.found) for one in session.plan().errors]
    assert errors == [(code, f"{next(iter(given))} (trainer)", found)]
