"""Translate from English to Romanian: T5 as a translator."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "words.jsonl"
TRAINER = azft.PipelineTrainer(
    "translation_pipeline",
    task="translation",
    rows="translation_en_ro",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "metric_for_best_model": "bleu"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_row_formats() -> list[azft.RowFormat]:
    return [azft.translation_rows("en", "ro")]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("words", f"file://{DATA}")]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "t5-small", "words", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
