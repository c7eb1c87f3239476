"""Continue a text: GPT-2 that learns to add."""

import sys
from pathlib import Path

import azft

DATA = Path(__file__).parent / "data" / "sums.jsonl"
TRAINER = azft.PipelineTrainer(
    "text_generation_pipeline",
    task="text-generation",
    rows="text_generation",
    parameters={"num_train_epochs": 3, "learning_rate": 2e-05, "ground_truth_key": "ground_truth"},
)


@azft.hookimpl
def azft_trainers() -> list[azft.PipelineTrainer]:
    return [TRAINER]


@azft.hookimpl
def azft_datasets() -> list[azft.DatasetSpec]:
    return [azft.DatasetSpec("sums", f"file://{DATA}", columns={"prompt": "text", "completion": "ground_truth"})]


if __name__ == "__main__":
    plugins = azft.load_plugins(sys.modules[__name__])
    session = azft.FineTuneSession(
        "gpt2", "sums", trainer=TRAINER.name, backend="azureml", compute="gpu-cluster", plugins=plugins
    )
    run = session.submit()
    print(session.watch(run))
    print(session.register(run))
