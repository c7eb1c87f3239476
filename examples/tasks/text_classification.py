"""Tell what a message is about: BERT as a classifier of topics."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "topics.jsonl"
TRAINER = azft.PipelineTrainer(
    "text_classification_pipeline",
    task="text-classification",
    rows="text_classification",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "metric_for_best_model": "f1_macro"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("topics", f"file://{DATA}", columns={"message": "text", "topic": "label"})]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "bert-base-uncased", "topics", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
