"""Find the people and the places in a sentence: BERT as a tagger."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "people.jsonl"
TRAINER = azft.PipelineTrainer(
    "token_classification_pipeline",
    task="token-classification",
    rows="token_classification",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "metric_for_best_model": "f1"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("people", f"file://{DATA}")]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "bert-base-uncased", "people", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
