"""Say in a line what a report says: T5 as a writer of summaries."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "reports.jsonl"
TRAINER = azft.PipelineTrainer(
    "summarization_pipeline",
    task="summarization",
    rows="summarization",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "metric_for_best_model": "rouge1"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("reports", f"file://{DATA}")]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "t5-small", "reports", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
