"""Find the answer to a question in a text: BERT as a reader."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "towns.jsonl"
TRAINER = azft.PipelineTrainer(
    "question_answering_pipeline",
    task="question-answering",
    rows="question_answering",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "metric_for_best_model": "exact"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("towns", f"file://{DATA}")]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "bert-base-uncased", "towns", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
