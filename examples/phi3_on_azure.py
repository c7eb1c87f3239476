"""Fine-tune a Phi on ultrachat, on Azure ML: the program of `phi3_ultrachat.py` with another backend.

Phi-3-mini can no longer be fine-tuned on Azure (retired on 2025-08-30), so Phi-4 takes its place. The workspace comes
from `config.json` or the environment. Offline, without an account:
`python -m azft.testing.emulator -- python examples/phi3_on_azure.py --sample --percent 8`.
"""

import argparse

import azft


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--model", default="Phi-4")
    options.add_argument("--size", default="Standard_NC24ads_A100_v4", help="machines for tuning and for the endpoint")
    options.add_argument("--cluster", default="gpu-cluster-big", help="made if it is missing, deleted at the end")
    options.add_argument("--percent", type=float, default=5.0, help="of the training conversations")
    options.add_argument("--sample", action="store_true", help="the offline sample in place of ultrachat_200k")
    chosen = options.parse_args()

    azure = azft.connect("azureml", instance_type=chosen.size)
    print(f"workspace  {azure.workspace}")
    session = azft.FineTuneSession(
        model=chosen.model,
        dataset="ultrachat_sample" if chosen.sample else "ultrachat_200k",
        backend=azure,
        compute=chosen.cluster,
        percent=chosen.percent,
        parameters={"num_train_epochs": 1},
    )
    try:
        # A cluster that is there already is taken if it fits, and stays; one that is made here goes with the cleanup.
        print(f"cluster    {session.create_compute(chosen.cluster, chosen.size)}")
        plan = session.plan()
        print(plan)
        tuned = session.run(plan)
        print(tuned.result, end="\n\n")
        print(tuned.report)
        print(f"registered {tuned.model}")
        with session.deploy(tuned.model) as endpoint:
            print(f"deployed   {endpoint}")
            print(f"  model: {endpoint.ask('What is LoRA?', max_tokens=60)}")
    finally:
        # A job that still runs goes on, and is paid for: Ctrl-C and a lost connection end the watching alone.
        print(session.cleanup())


if __name__ == "__main__":
    main()
