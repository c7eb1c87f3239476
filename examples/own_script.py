"""Fine-tune with a training script of your own: azft prepares, runs, watches, compares, registers and cleans up."""

from pathlib import Path

import azft

SCRIPTS = Path(__file__).parent / "scripts"


def main() -> None:
    session = azft.FineTuneSession(
        dataset=azft.DatasetSpec("sample", "sample://ultrachat", train_split="train_sft", test_split="test_sft"),
        percent=8,
        parameters={"num_train_epochs": 1, "learning_rate": 2e-3, "per_device_train_batch_size": 8, "processes": 1},
        trainer=azft.Script(SCRIPTS / "plain_loop.py"),
    )
    plan = session.plan()
    print(plan)
    done = session.run(plan)
    print(done.report)
    print(done.model)
    session.cleanup(everything=True)


if __name__ == "__main__":
    main()
