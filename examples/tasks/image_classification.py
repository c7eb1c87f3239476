"""Tell what is in a picture: BEiT on MLTables of images, which go to the pipeline as they are."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "fridge"
TRAINER = azft.PipelineTrainer(
    "transformers_image_classification_pipeline",
    task="image-classification",
    rows="as_is",
    parameters={"task_name": "image-classification", "precision": "32", "random_seed": 42},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("fridge", f"file://{DATA}")]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "microsoft-beit-base-patch16-224-pt22k-ft22k",
        "fridge",
        trainer=TRAINER.name,
        backend="azureml",
        compute="gpu-cluster",
        plugins=plugins,
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
