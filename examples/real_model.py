"""Teach a real chat model one narrow skill: to turn a support ticket into a fixed JSON form.

The model is SmolLM2-135M-Instruct, from the plugin in `examples/azft-smollm2`; the 120 tickets lie beside this file and
were written for it. From plan to cleanup it takes about two minutes on two cores, no GPU needed.
"""

import json
import time
from pathlib import Path

import azft

TICKETS = Path(__file__).parent / "tickets" / "tickets.csv"
SYSTEM = "Ticket to JSON."
TEAMS = {"billing", "delivery", "repair", "sales"}
HELD_OUT = 24


def is_valid(answer: str) -> bool:
    """Return whether an answer is the form: one JSON object with a team that exists, and whether it is urgent."""
    try:
        form = json.loads(answer)
    except json.JSONDecodeError:
        return False
    known = isinstance(form, dict) and set(form) == {"team", "urgent"}
    return known and form["team"] in TEAMS and isinstance(form["urgent"], bool)


def main() -> None:
    begun = time.monotonic()
    session = azft.FineTuneSession(
        "SmolLM2-135M-Instruct",
        TICKETS,
        columns={"ticket": "prompt", "form": "completion"},
        test=HELD_OUT / 120,
        validation=0,
        parameters={
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "learning_rate": 1e-3,
            "lora_r": 16,
            "lora_alpha": 32,
            "answers": HELD_OUT,
        },
    )
    plan = session.plan()
    print(plan)
    session.prepare(plan).show(1)  # what is learned of a ticket, in green or between [[ and ]]
    run = session.submit(plan)
    session.watch(run)
    report = session.evaluate(run)
    print(report)
    for name, answers in (
        ("base", [answer.base for answer in report.answers]),
        ("tuned", [answer.tuned for answer in report.answers]),
    ):
        valid = sum(map(is_valid, answers))
        exact = sum(answer == shown.expected for answer, shown in zip(answers, report.answers, strict=True))
        print(f"{name}: {valid} of {len(answers)} held-out answers are valid forms, {exact} are the expected one")
    model = session.register(run)
    with session.deploy(model) as endpoint:
        question = "My parcel got wet, I need a new one today!"
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]
        print(f"{question}\n{endpoint.ask(messages)}")
    print(session.cleanup(everything=True))
    print(f"from plan to cleanup: {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
