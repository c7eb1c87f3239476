"""Fine-tune Phi-3-mini on ultrachat, on this machine: from a plan to an answer, and nothing left running."""

import azft


def main() -> None:
    session = azft.FineTuneSession()  # Phi-3-mini-4k-instruct, ultrachat_200k, backend "local"

    plan = session.plan()
    print(plan)
    print(plan.explain("learning_rate"), end="\n\n")

    run = session.submit(plan)
    result = session.watch(run)
    print(result, end="\n\n")

    report = session.evaluate(run)
    print(report)

    model = session.register(run)
    print(f"registered {model}")

    with session.deploy(model) as endpoint:
        print(f"deployed   {endpoint}")
        for question in (
            "What is LoRA?",
            "Describe the learning rate to a newcomer.",
            "Remind me, what is perplexity?",
        ):
            print(f"  you:   {question}")
            print(f"  model: {endpoint.ask(question)}")

    print(session.cleanup())


if __name__ == "__main__":
    main()
